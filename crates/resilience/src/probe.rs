//! Stops sending attempts to an endpoint whose probes fail, and probes it until they succeed.
//!
//! For servers that have no `grpc.health.v1.Health` service, which gRPC asks by itself
//! (`healthCheckConfig`), but a port that answers, or a page of their own: [`TcpProbe`],
//! [`HttpProbe`], or any [`Probe`] of yours. When, and how many failures it takes, is decided by
//! [`evenkeel_policy::probe`].
//!
//! An endpoint is probed while it is READY, and only then: connecting says enough about any other.
//! While it is out the balancer sees it in TRANSIENT_FAILURE, so that calls go elsewhere; those that
//! run go on, and the connection stays. It is in before its first probe, and stays out when it is
//! connected anew, until a probe succeeds, the first of them at once.
//!
//! Every client probes every endpoint that it is connected to: think of the probes that a server gets from a
//! thousand clients when you choose the interval.
//!
//! # Errors
//!
//! None of its own. What the policy says of an endpoint that is out has
//! [`ProbeFailed`](evenkeel_core::error::ProbeFailed) in it.
//!
//! # Cost
//!
//! None for attempts. One task for each endpoint from the first time it is READY, which ends with
//! the last clone of its service, and probes only while somebody asks that for reports.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use evenkeel_resilience::{HttpProbe, ProbeConfig, ProbeLayer};
//! use http::uri::PathAndQuery;
//!
//! let probe = HttpProbe {
//!     path: PathAndQuery::from_static("/healthz"),
//!     port: Some(8080),
//!     ..HttpProbe::default()
//! };
//! let config = ProbeConfig { interval: Duration::from_secs(5), ..ProbeConfig::default() };
//! let layer = ProbeLayer::new(probe).with_config(config);
//! // EndpointLayer::new(layer), or `probe(layer)` of the channel's builder.
//! # drop(layer);
//! ```

mod connectivity;
mod driver;
mod http1;
mod layer;
mod service;
mod shared;
mod socket;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use evenkeel_core::{BoxError, Endpoint};

pub use http1::HttpProbe;
pub use layer::ProbeLayer;
pub use service::Probed;
pub use socket::TcpProbe;

/// A way to find out whether an endpoint works.
///
/// Closures are one: `|endpoint: Arc<Endpoint>| async move { … }`.
pub trait Probe: Send + Sync + 'static {
    /// Probes `endpoint` once. Dropped when it has taken too long, or when the endpoint is not
    /// connected any more. An error is a failure, whatever it is; a panic is one too many: the
    /// endpoint is not probed any more, and in.
    fn probe(&self, endpoint: Arc<Endpoint>) -> Probing;

    /// What errors and the log call it: `TCP probe`.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probe")
    }
}

/// A probe that is under way.
pub type Probing = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

impl<F, A> Probe for F
where
    F: Fn(Arc<Endpoint>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn probe(&self, endpoint: Arc<Endpoint>) -> Probing {
        Box::pin(self(endpoint))
    }
}
