use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tonic::{Code, Status};

use crate::Endpoint;

/// A call failed for good after more than one attempt; its status has the code, the details and
/// the metadata of the last one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallFailed {
    /// The attempts, in the order they failed.
    pub attempts: Vec<AttemptSummary>,
    /// Why there was no further one.
    pub reason: String,
    last: Status,
}

/// How one attempt of a call failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptSummary {
    /// Its number, from 1; attempts that no server has seen do not count.
    pub number: u32,
    /// Where it went, as far as it was sent anywhere.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Its code.
    pub code: Code,
    /// The text of its status.
    pub message: String,
}

impl AttemptSummary {
    /// Attempt `number` has failed.
    #[must_use]
    pub const fn new(
        number: u32,
        endpoint: Option<Arc<Endpoint>>,
        code: Code,
        message: String,
    ) -> Self {
        Self {
            number,
            endpoint,
            code,
            message,
        }
    }

    /// `1 127.0.0.1:8090 UNAVAILABLE; 2 127.0.0.1:8091 UNAVAILABLE`.
    #[must_use]
    pub fn story(attempts: &[Self]) -> String {
        let lines: Vec<_> = attempts.iter().map(Self::to_string).collect();
        lines.join("; ")
    }
}

impl fmt::Display for AttemptSummary {
    /// `1 127.0.0.1:8090 UNAVAILABLE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.number)?;
        if let Some(endpoint) = &self.endpoint {
            write!(f, "{endpoint} ")?;
        }
        f.write_str(code_name(self.code))
    }
}

impl CallFailed {
    /// All of `attempts` have failed, the last one with `last`, and there is no further one for
    /// this `reason`.
    #[must_use]
    pub fn new(attempts: Vec<AttemptSummary>, reason: impl Into<String>, last: Status) -> Self {
        Self {
            attempts,
            reason: reason.into(),
            last,
        }
    }
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} after {} attempts: {}",
            self.last.message(),
            self.reason,
            self.attempts.len(),
            AttemptSummary::story(&self.attempts)
        )
    }
}

impl Error for CallFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.last)
    }
}

impl From<CallFailed> for Status {
    fn from(error: CallFailed) -> Self {
        let mut status = Self::with_details_and_metadata(
            error.last.code(),
            error.to_string(),
            error.last.details().to_vec().into(),
            error.last.metadata().clone(),
        );
        status.set_source(Arc::new(error));
        status
    }
}

/// gRPC's name of a code, as service configs and logs write it: `UNAVAILABLE`.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;
    use crate::Progress;
    use crate::error::{AttemptError, cause};

    #[test]
    fn the_status_tells_each_attempt_and_keeps_the_last_ones_code_and_chain() {
        let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
        let attempts = vec![
            AttemptSummary::new(
                1,
                Some(endpoint.into()),
                Code::Unavailable,
                "refused".into(),
            ),
            AttemptSummary::new(2, None, Code::Internal, "broken".into()),
        ];
        let last = AttemptError::new(Progress::Sent, "broken").into_status(Code::Internal);
        let status = Status::from(CallFailed::new(attempts, "no attempts left", last));
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.message(),
            "broken; no attempts left after 2 attempts: 1 10.0.0.1:80 UNAVAILABLE; 2 INTERNAL"
        );
        assert_eq!(cause::<CallFailed>(&status).unwrap().attempts.len(), 2);
        assert!(cause::<AttemptError>(&status).is_some());
    }
}
