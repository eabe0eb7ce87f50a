use tonic::{Code, Status};

use super::status;

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
