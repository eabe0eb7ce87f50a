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

mod call_failed;

pub use call_failed::{AttemptSummary, CallFailed, code_name};

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::{Code, Status};

use crate::{ConnectivityState, Endpoint, Picked, Progress};

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

/// The call's own deadline has passed: DEADLINE_EXCEEDED.
#[derive(Clone, Debug, thiserror::Error)]
#[error("deadline of the call to {path} exceeded{}", fmt_last(.last.as_deref()))]
#[non_exhaustive]
pub struct DeadlineExceeded {
    /// `/package.Service/Method`.
    pub path: String,
    /// What the call was waiting for, or what went wrong last.
    pub last: Option<String>,
}

fn fmt_last(last: Option<&str>) -> String {
    last.map(|last| format!("; {last}")).unwrap_or_default()
}

impl DeadlineExceeded {
    /// The deadline of a call to `path` has passed.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            last: None,
        }
    }

    /// The same, with what the call was waiting for.
    #[must_use]
    pub fn with_last(mut self, last: impl Into<String>) -> Self {
        self.last = Some(last.into());
        self
    }
}

impl From<DeadlineExceeded> for Status {
    fn from(error: DeadlineExceeded) -> Self {
        status(Code::DeadlineExceeded, error)
    }
}

/// No endpoint could take the call: UNAVAILABLE. Names each endpoint and what is wrong with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NoEndpoint {
    /// The endpoints there are, none of them READY.
    pub endpoints: Vec<NotReady>,
    /// What discovery said last, when it failed or found nothing.
    pub discovery: Option<String>,
}

/// One endpoint that could not take a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NotReady {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its state.
    pub state: ConnectivityState,
    /// Its last error, if it has had one.
    pub error: Option<String>,
}

impl NotReady {
    /// An endpoint that is in `state`, with its last error.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, state: ConnectivityState, error: Option<String>) -> Self {
        Self {
            endpoint,
            state,
            error,
        }
    }
}

impl NoEndpoint {
    /// How many endpoints the text names one by one.
    const NAMED: usize = 8;

    /// None of `endpoints` could take the call.
    #[must_use]
    pub fn new(endpoints: Vec<NotReady>, discovery: Option<String>) -> Self {
        Self {
            endpoints,
            discovery,
        }
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoints.is_empty() {
            f.write_str("no endpoints")?;
        } else {
            write!(f, "0 of {} endpoints READY", self.endpoints.len())?;
        }
        for (index, one) in self.endpoints.iter().take(Self::NAMED).enumerate() {
            write!(
                f,
                "{} {}: {}",
                if index == 0 { ":" } else { ";" },
                one.endpoint,
                one.state
            )?;
            if let Some(error) = &one.error {
                write!(f, ", {error}")?;
            }
        }
        if self.endpoints.len() > Self::NAMED {
            write!(f, "; and {} more", self.endpoints.len() - Self::NAMED)?;
        }
        if let Some(discovery) = &self.discovery {
            write!(f, "; discovery: {discovery}")?;
        }
        Ok(())
    }
}

impl Error for NoEndpoint {}

impl From<NoEndpoint> for Status {
    fn from(error: NoEndpoint) -> Self {
        status(Code::Unavailable, error)
    }
}

/// The endpoint's breaker refused the attempt: UNAVAILABLE, and nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("circuit breaker of {endpoint} {}; tripped by: {tripped_by}", fmt_next(*.retry_in))]
#[non_exhaustive]
pub struct BreakerOpen {
    /// What the breaker guards: an endpoint, or the name a user gave it.
    pub endpoint: String,
    /// Time until the next probe; zero while a probe is running.
    pub retry_in: std::time::Duration,
    /// The failure that opened it.
    pub tripped_by: String,
}

fn fmt_next(retry_in: std::time::Duration) -> String {
    match retry_in.as_millis() {
        0 if retry_in.is_zero() => "is probing".to_owned(),
        millis => format!("is open, it probes in {} ms", millis.max(1)),
    }
}

impl BreakerOpen {
    /// A refusal.
    #[must_use]
    pub fn new(endpoint: String, retry_in: std::time::Duration, tripped_by: String) -> Self {
        Self {
            endpoint,
            retry_in,
            tripped_by,
        }
    }
}

/// A picker's [`Pick::Drop`](crate::Pick::Drop): the call fails with the policy's own status and
/// is not tried again, even if it waits for ready.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the load balancing policy dropped the call")]
#[non_exhaustive]
pub struct CallDropped;

impl CallDropped {
    /// `status` of the policy, marked so that nothing tries the call again.
    #[must_use]
    pub fn mark(mut status: Status) -> Status {
        status.set_source(Arc::new(Self));
        status
    }
}

/// Not a failure: the report, in a stream of discovery, that ends the ones before it. Discovery
/// works again, and has found nothing that it did not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("discovery works again")]
#[expect(clippy::exhaustive_structs, reason = "a marker")]
pub struct DiscoveryRecovered;

/// The channel was shut down, or its driver is gone: UNAVAILABLE.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the channel is shut down: {reason}")]
#[non_exhaustive]
pub struct ChannelClosed {
    /// Who ended it.
    pub reason: String,
}

impl ChannelClosed {
    /// The channel ended for `reason`.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl From<ChannelClosed> for Status {
    fn from(error: ChannelClosed) -> Self {
        status(Code::Unavailable, error)
    }
}

/// An attempt failed on this side of the wire: not by the server's word.
///
/// It says how far the attempt got, where it went, and gives the request back when it never left.
pub struct AttemptError {
    progress: Progress,
    picked: Option<Picked>,
    source: BoxError,
    request: Mutex<Option<Box<dyn Any + Send>>>,
}

impl AttemptError {
    /// An attempt that got as far as `progress` and failed because of `source`.
    pub fn new(progress: Progress, source: impl Into<BoxError>) -> Self {
        Self {
            progress,
            picked: None,
            source: source.into(),
            request: Mutex::new(None),
        }
    }

    /// An attempt that never left, with its whole request.
    pub fn unsent<B: Send + 'static>(
        request: http::Request<B>,
        source: impl Into<BoxError>,
    ) -> Self {
        let mut error = Self::new(Progress::NotSent, source);
        error.request = Mutex::new(Some(Box::new(request)));
        error
    }

    /// The same, with the endpoint it went to.
    #[must_use]
    pub fn with_picked(mut self, picked: Picked) -> Self {
        self.picked = Some(picked);
        self
    }

    /// How far the attempt got.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The endpoint it went to, as the balancer picked it.
    #[must_use]
    pub const fn picked(&self) -> Option<&Picked> {
        self.picked.as_ref()
    }

    /// Takes the request of an attempt that never left; once, and only with its own body type.
    #[must_use]
    pub fn take_request<B: 'static>(&self) -> Option<http::Request<B>> {
        let mut slot = self.request.lock();
        match slot.take()?.downcast::<http::Request<B>>() {
            Ok(request) => Some(*request),
            Err(other) => {
                *slot = Some(other);
                None
            }
        }
    }

    /// The status a caller sees if nothing tries again.
    #[must_use]
    pub fn into_status(self, code: Code) -> Status {
        status(code, self)
    }
}

impl fmt::Debug for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptError")
            .field("progress", &self.progress)
            .field("picked", &self.picked)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.picked {
            Some(picked) => write!(f, "{}: {}", picked.endpoint, chain(&*self.source)),
            None => f.write_str(&chain(&*self.source)),
        }
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

fn status(code: Code, error: impl Error + Send + Sync + 'static) -> Status {
    let mut status = Status::new(code, error.to_string());
    status.set_source(Arc::new(error));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsent_request_comes_back_once_and_only_as_its_own_type() {
        let request = http::Request::new(String::from("body"));
        let status =
            AttemptError::unsent(request, "connection lost").into_status(Code::Unavailable);
        let error = cause::<AttemptError>(&status).unwrap();
        assert_eq!(error.progress(), Progress::NotSent);
        assert!(error.take_request::<Vec<u8>>().is_none());
        assert_eq!(error.take_request::<String>().unwrap().into_body(), "body");
        assert!(error.take_request::<String>().is_none());
    }

    #[test]
    fn no_endpoint_names_each_endpoint_and_its_error() {
        let not_ready = |address: &str| {
            let endpoint = Arc::new(Endpoint::new(address.parse::<crate::Address>().unwrap()));
            let state = ConnectivityState::TransientFailure;
            NotReady::new(endpoint, state, Some("connection refused".into()))
        };
        let error = NoEndpoint::new(vec![not_ready("10.0.0.1:1"), not_ready("10.0.0.2:2")], None);
        assert_eq!(
            error.to_string(),
            "0 of 2 endpoints READY: 10.0.0.1:1: TRANSIENT_FAILURE, connection refused; \
             10.0.0.2:2: TRANSIENT_FAILURE, connection refused"
        );
        let status = Status::from(error);
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(cause::<NoEndpoint>(&status).unwrap().endpoints.len(), 2);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let endpoint = Arc::new(Endpoint::new(
            "10.0.0.1:1".parse::<crate::Address>().unwrap(),
        ));
        let one = NotReady::new(endpoint, ConnectivityState::TransientFailure, None);
        let text = NoEndpoint::new(vec![one; 20], Some("empty".into())).to_string();
        assert!(text.ends_with("; and 12 more; discovery: empty"), "{text}");
    }

    #[test]
    fn a_status_in_the_chain_keeps_its_code() {
        let status = into_status(Box::new(Status::resource_exhausted("full")));
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "full")
        );
        assert_eq!(into_status("boom".into()).code(), Code::Unknown);
    }
}
