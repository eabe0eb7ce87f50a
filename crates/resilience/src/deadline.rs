//! Ends a call when its time is over: queueing, delays, every attempt and the response stream.
//!
//! The time is the smaller of the method's `timeout` and what the caller asked for with
//! [`tonic::Request::set_timeout`]. The layer writes it into the request, as the
//! [`Deadline`](evenkeel_core::Deadline) extension for the layers below and as `grpc-timeout` for
//! the server. When it is over the call fails with DEADLINE_EXCEEDED, with
//! [`DeadlineExceeded`](evenkeel_core::error::DeadlineExceeded) as its source, and what is still
//! running of it is dropped, which resets its stream.
//!
//! Expiry is DEADLINE_EXCEEDED even where tonic says CANCELLED: its own timers answer a
//! `grpc-timeout`, too, in its channel and in its server.
//!
//! `waitForReady` of the method becomes [`WaitForReady`](evenkeel_core::WaitForReady), unless the
//! caller set that.
//!
//! [`DeadlineLayer::live`] follows a [`LiveConfig`](evenkeel_service_config::LiveConfig): a call has
//! what is configured when it starts.
//!
//! Calls that are retried as well have both in one service with
//! [`RetryLayer::with_deadline`](crate::RetryLayer::with_deadline).
//!
//! # Example
//!
//! Around a plain tonic channel:
//!
//! ```
//! use std::time::Duration;
//! use evenkeel_resilience::DeadlineLayer;
//! use tonic::transport::Endpoint;
//! use tower::ServiceBuilder;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let channel = ServiceBuilder::new()
//!     .layer(DeadlineLayer::for_all(Duration::from_secs(2)))
//!     .service(Endpoint::from_static("http://127.0.0.1:8090").connect_lazy());
//! # let _client = tonic::client::Grpc::new(channel);
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Specification
//!
//! gRPC's service config, `timeout` and `waitForReady` of a method; gRFC A6 for retries.

mod expiry;
mod future;
mod layer;

mod service;
mod terms;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::DeadlineLayer;
pub use service::Deadline;

pub(crate) use expiry::{Expiry, NO_RESPONSE, NO_TIME};
pub(crate) use terms::{Over, Terms};
