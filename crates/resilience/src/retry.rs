//! Tries failed calls again, each time with a fresh pick.
//!
//! Which failures, how often and when is the method's `retryPolicy`; the layer only carries the
//! decisions of [`evenkeel_policy::retry`] out. Without a policy nothing is retried but what no
//! server has seen.
//!
//! Each attempt from the second on carries an [`Attempt`](evenkeel_core::Attempt) with the
//! endpoints that were tried, so that the picker goes elsewhere (failover), and
//! `grpc-previous-rpc-attempts`. A call that has a deadline sends what is left of it as
//! `grpc-timeout`. Otherwise every attempt is the same request, extensions included.
//!
//! # Hedging
//!
//! A method with a `hedgingPolicy` instead sends its call again before the first attempt has failed:
//! another one each `hedgingDelay`, each to an endpoint of its own while there are such, until one is
//! answered with something else than a failure. The others are then dropped, which resets their
//! streams. [`evenkeel_policy::hedge`] has the rules. All attempts read the same request; one that
//! reads more of a stream than the buffers hold is the only one from then on.
//!
//! # Commit
//!
//! No attempt follows a response whose head is not already a failure, or one more byte of request
//! than the buffers hold. What a call had buffered is released then.
//!
//! # The longest messages
//!
//! The layer also keeps `maxRequestMessageBytes` and `maxResponseMessageBytes` of the method, and
//! the [`MessageLimits`](crate::MessageLimits) it is given: the lower ones count, in bytes on the
//! wire. A message that is too long fails its call with RESOURCE_EXHAUSTED and
//! [`MessageTooLarge`](evenkeel_core::error::MessageTooLarge). It is not sent, and the call not at
//! all if that message is there when the call starts; of a response, the messages before it still
//! come. The stream is reset, and its endpoint sees a call that was cancelled: no breaker, outlier
//! detection or weight counts it, and nothing is tried again.
//!
//! # A config that changes
//!
//! [`RetryLayer::live`] follows a [`LiveConfig`](evenkeel_service_config::LiveConfig). What a call
//! goes by is fixed when it starts, its retries included.
//!
//! # Errors
//!
//! A call that fails has the status of its last attempt. After more than one attempt an error has
//! [`CallFailed`](evenkeel_core::error::CallFailed) as its source, and a response that is a
//! failure has the metadata `evenkeel-attempts`, which tells each attempt's endpoint and code.
//!
//! # With a deadline
//!
//! Calls that are retried nearly always have a deadline, too. [`RetryLayer::with_deadline`] makes
//! one service of both, which does what the two of them do one around the other, and costs a call
//! less:
//!
//! ```
//! use evenkeel_resilience::{DeadlineLayer, RetryLayer};
//! # let config = evenkeel_service_config::ServiceConfig::default();
//!
//! let layer = RetryLayer::new(&config).with_deadline(DeadlineLayer::new(&config));
//! ```
//!
//! # Cancel safety
//!
//! Dropping a call's future ends its running attempts, its delay and its buffers.
//!
//! # Not here
//!
//! Choosing the endpoint: the balancer below. What a deadline is: [`deadline`](crate::deadline).
//!
//! # Specification
//!
//! gRFC A6. When `retryThrottling` changes, the throttle stays as full as it was
//! (C-core; Go fills it).

mod call;
mod failure;
mod future;
mod head;
mod hedging;
mod layer;
mod replay;
mod service;
mod source;
mod story;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::{RetryConfig, RetryLayer};
pub use replay::ReplayBody;
pub use service::Retry;
