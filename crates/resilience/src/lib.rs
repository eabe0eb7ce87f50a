//! Tower layers that keep a gRPC call alive: its deadline, its retries, the breakers and the probes
//! of its endpoints.
//!
//! - [`DeadlineLayer`]: a call ends when its time is over;
//! - [`RetryLayer`]: a failed call is tried again, elsewhere, and a message that is too long stops;
//! - [`BreakerLayer`]: an endpoint that keeps failing gets no attempts for a while;
//! - [`ProbeLayer`]: an endpoint whose probes fail gets none until they succeed;
//! - [`FailoverConfig`]: retries and breakers by the settings of other frameworks;
//! - [`TonicBodyLayer`]: puts these around a plain tonic channel.
//!
//! Those that go by a service config follow one that changes, too: [`DeadlineLayer::live`],
//! [`RetryLayer::live`].
//!
//! All of them are services of `http::Request`, as tonic's generated clients use them, and their
//! errors are [`tonic::Status`] with a typed source from [`evenkeel_core::error`].
//!
//! # Not here
//!
//! What is decided: `evenkeel-policy`. Choosing an endpoint: `evenkeel-balance`.

mod body;
pub mod breaker;
pub mod deadline;
mod failover;
mod fallback;
mod frames;
mod limits;
mod lookup;
mod method;
mod methods;
pub mod probe;
pub mod retry;
#[cfg(test)]
mod scripted;
mod throttles;
mod timeout;
mod tonic_body;

pub use body::ResponseBody;
pub use breaker::{BreakerHandle, BreakerLayer, BreakerStatus};
pub use deadline::DeadlineLayer;
pub use evenkeel_policy::breaker::{AdaptiveConfig, BreakerConfig, FailureRatioConfig};
pub use evenkeel_policy::probe::ProbeConfig;
pub use evenkeel_policy::throttle::ThrottleConfig;
pub use failover::{ErrorClass, FailoverConfig};
pub use fallback::{FallbackRetry, InvalidMethodName, MethodName};
pub use limits::MessageLimits;
pub use probe::{HttpProbe, Probe, ProbeLayer, TcpProbe};
pub use retry::{ReplayBody, RetryConfig, RetryLayer};
pub use tonic_body::{TonicBody, TonicBodyFuture, TonicBodyLayer};
