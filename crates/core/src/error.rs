//! What a failed call carries: every error of Evenkeel leaves its layers as a [`tonic::Status`]
//! whose source is one of these types; [`cause`] finds it again.
//!
//! ```
//! use evenkeel_core::error::{DeadlineExceeded, cause};
//!
//! let status: tonic::Status = DeadlineExceeded::new("/UserService/GetById").into();
//! assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
//! assert!(cause::<DeadlineExceeded>(&status).is_some());
//! ```

mod attempt;
mod call_failed;
mod deadline;
mod message;
mod no_endpoint;
mod not_healthy;
mod refused;

pub use attempt::AttemptError;
pub use call_failed::{AttemptSummary, CallFailed, code_name};
pub use deadline::DeadlineExceeded;
pub use message::{MessageKind, MessageTooLarge};
pub use no_endpoint::{NoEndpoint, NotReady};
pub use not_healthy::{NotHealthy, NotHealthyReason, ServingStatus};
pub use refused::{BreakerOpen, CallDropped, ChannelClosed, DiscoveryRecovered, ProbeFailed};

use std::error::Error;
use std::sync::Arc;

use tonic::{Code, Status};

/// An error of any type, as tower uses it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The first error of type `E` in the chain of sources that starts at `error` itself.
#[must_use]
pub fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// `error` and its sources, joined by `: `; a source whose text its parent already ends with is
/// not repeated, and of a status there is only the message.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    if let Some(status) = error.downcast_ref::<Status>() {
        return status.message().to_owned();
    }
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = source.source();
    }
    text
}

/// Makes `error` a status; one that already is a status (or has one in its chain) keeps its code.
#[must_use]
pub fn into_status(error: BoxError) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => Status::from_error(error),
    }
}

fn status(code: Code, error: impl Error + Send + Sync + 'static) -> Status {
    let mut status = Status::new(code, error.to_string());
    status.set_source(Arc::new(error));
    status
}

#[cfg(test)]
mod tests;
