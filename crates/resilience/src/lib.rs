//! Tower layers that keep a gRPC call alive: its deadline, its retries, the breakers of its
//! endpoints.
//!
//! - [`DeadlineLayer`]: a call ends when its time is over;
//! - [`RetryLayer`]: a failed call is tried again, elsewhere;
//! - [`TonicBodyLayer`]: puts these around a plain tonic channel.
//!
//! All of them are services of `http::Request`, as tonic's generated clients use them, and their
//! errors are [`tonic::Status`] with a typed source from [`evenkeel_core::error`].
//!
//! # Not here
//!
//! What is decided: `evenkeel-policy`. Choosing an endpoint: `evenkeel-balance`.

pub mod deadline;
mod methods;
pub mod retry;
#[cfg(test)]
mod scripted;
mod timeout;
mod tonic_body;

pub use deadline::DeadlineLayer;
pub use retry::{ReplayBody, RetryConfig, RetryLayer};
pub use tonic_body::{TonicBody, TonicBodyLayer};
