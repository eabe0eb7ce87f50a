use std::sync::Arc;

use tonic::{Code, Status};

use super::status;
use crate::Endpoint;

/// The call's own deadline has passed: DEADLINE_EXCEEDED.
#[derive(Clone, Debug, thiserror::Error)]
#[error("deadline of the call to {path} exceeded{}{}", fmt_last(.last.as_deref()), fmt_endpoints(.waited_for))]
#[non_exhaustive]
pub struct DeadlineExceeded {
    /// `/package.Service/Method`.
    pub path: String,
    /// What the call was waiting for, or what went wrong last.
    pub last: Option<String>,
    /// The endpoints that had not answered, or not to the end.
    pub waited_for: Vec<Arc<Endpoint>>,
}

fn fmt_last(last: Option<&str>) -> String {
    last.map(|last| format!("; {last}")).unwrap_or_default()
}

fn fmt_endpoints(endpoints: &[Arc<Endpoint>]) -> String {
    if endpoints.is_empty() {
        return String::new();
    }
    let names: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!("; waited for {}", names.join(", "))
}

impl DeadlineExceeded {
    /// The deadline of a call to `path` has passed.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            last: None,
            waited_for: Vec::new(),
        }
    }

    /// The same, with what the call was waiting for.
    #[must_use]
    pub fn with_last(mut self, last: impl Into<String>) -> Self {
        self.last = Some(last.into());
        self
    }

    /// The same, with the endpoints that had not answered.
    #[must_use]
    pub fn with_endpoints(mut self, waited_for: Vec<Arc<Endpoint>>) -> Self {
        self.waited_for = waited_for;
        self
    }
}

impl From<DeadlineExceeded> for Status {
    fn from(error: DeadlineExceeded) -> Self {
        status(Code::DeadlineExceeded, error)
    }
}
