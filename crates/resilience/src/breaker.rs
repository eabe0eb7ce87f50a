//! Stops sending attempts to an endpoint that keeps failing.
//!
//! One breaker guards one service; clones share it. While it is open, attempts fail at once with
//! UNAVAILABLE and the inner service sees nothing. The states and the rules are those of
//! [`evenkeel_policy::breaker`].
//!
//! An attempt counts when its response has ended: at the trailers, or when it is cut. One that is
//! dropped before says nothing and gives its probe's place back, unless its
//! [`Deadline`](evenkeel_core::Deadline) has passed: then it is the DEADLINE_EXCEEDED that the
//! caller saw. One that never left says nothing either; that is the connection's business. A probe
//! may be a stream that does not end: if it was answered, it counts when its place is over.
//!
//! # In a balancer
//!
//! Around a service that has a [`Connectivity`](evenkeel_core::Connectivity), as in
//! `EndpointLayer`, the breaker changes what the balancer sees: while it admits nothing, READY
//! becomes TRANSIENT_FAILURE. Calls then go elsewhere, and refusing is only the safety net: the
//! balancer picks again. There the balancer asks the breaker for each attempt and tells it the
//! end; nothing of the breaker is around the attempt itself.
//!
//! # Errors
//!
//! UNAVAILABLE with [`BreakerOpen`](evenkeel_core::error::BreakerOpen) in its chain, and the
//! request in [`AttemptError`](evenkeel_core::error::AttemptError). The retry layer does not try
//! it again.
//!
//! # Cost
//!
//! Closed, and without a failure to forget, an attempt costs two loads; outside a balancer also a
//! reference count. A failure ratio or adaptive throttling counts every attempt: the time is read and a
//! number added when it ends, without a lock and without an allocation. What takes the lock: failures
//! that `consecutive_failures` counts, the next success, refusals, and whatever is not closed.
//!
//! # Example
//!
//! Around a plain tonic channel:
//!
//! ```
//! use evenkeel_resilience::{BreakerConfig, BreakerLayer};
//! use tonic::transport::Endpoint;
//! use tower::ServiceBuilder;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let channel = ServiceBuilder::new()
//!     .layer(BreakerLayer::new(BreakerConfig::default()).named("user-service"))
//!     .service(Endpoint::from_static("http://127.0.0.1:8090").connect_lazy());
//! let breaker = channel.handle();
//! breaker.hold_open();
//! # let _client = tonic::client::Grpc::new(channel);
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod classifier;
mod connectivity;
mod future;
mod handle;
mod layer;
mod service;
mod shared;
#[cfg(test)]
mod tests;
mod ticket;

pub use body::ResponseBody;
pub use classifier::{Classifier, Failure};
pub use evenkeel_policy::breaker::{
    AdaptiveConfig, BreakerConfig, Counts, FailureRatioConfig, Verdict,
};
pub use future::ResponseFuture;
pub use handle::{BreakerHandle, BreakerStatus};
pub use layer::BreakerLayer;
pub use service::Breaker;
