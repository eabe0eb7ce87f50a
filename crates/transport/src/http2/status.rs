use std::error::Error;
use std::fmt;

use evenkeel_core::Progress;
use evenkeel_core::error::{AttemptError, BoxError, into_status};
use h2::Reason;
use tonic::{Code, Status};

use super::link::Link;
use crate::{CloseReason, ErrorCode};

/// One stream ended with RST_STREAM; the connection goes on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} with {code}", if *.by_peer { "the peer reset the stream" } else { "the peer broke HTTP/2, stream reset" })]
#[non_exhaustive]
pub struct StreamReset {
    /// The error code.
    pub code: ErrorCode,
    /// `false` when this side reset it, because the peer broke the protocol.
    pub by_peer: bool,
}

/// The request's body failed, with a status of its own or with another error.
#[derive(Debug)]
struct RequestBodyFailed(Status);

impl fmt::Display for RequestBodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request's body failed: {}", self.0.message())
    }
}

impl Error for RequestBodyFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The head of a request is not one that HTTP/2 allows.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be sent over HTTP/2: {0}")]
struct NotHttp2(String);

/// The connection took no new streams: the request comes back whole.
pub(super) fn unsent<B: Send + 'static>(request: http::Request<B>, reason: CloseReason) -> Status {
    AttemptError::unsent(request, reason).into_status(Code::Unavailable)
}

/// `h2` did not take the head of a request, which is gone.
///
/// `connection` is what `h2` says of the connection after this: an error when it takes no request
/// at all. Else it was about this request, and no other connection would take it either.
pub(super) fn not_accepted(
    error: &h2::Error,
    connection: Result<(), h2::Error>,
    link: &Link,
) -> Status {
    match connection {
        Err(error) => {
            let reason = link.reason(&error);
            AttemptError::new(Progress::NotSent, reason).into_status(Code::Unavailable)
        }
        Ok(()) => {
            let refused = NotHttp2(error.to_string());
            // Nothing has left; but to be sent again transparently, it would have to fare better.
            AttemptError::new(Progress::Sent, refused).into_status(Code::Internal)
        }
    }
}

/// A call failed before the head of its response.
pub(super) fn before_head(error: &h2::Error, stream_id: u32, link: &Link) -> Status {
    if error.is_reset() {
        let refused = error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        let progress = if refused {
            Progress::Refused
        } else {
            Progress::Sent
        };
        return reset(error, progress);
    }
    let progress = if !link.wire.has_opened(stream_id) {
        Progress::NotSent
    } else if error.is_go_away() && error.is_remote() {
        // h2 gives this error only to streams above the last id of the GOAWAY.
        Progress::Refused
    } else {
        Progress::Sent
    };
    AttemptError::new(progress, link.reason(error)).into_status(Code::Unavailable)
}

/// A call failed after the head of its response.
pub(super) fn after_head(error: &h2::Error, link: &Link) -> Status {
    if error.is_reset() {
        return reset(error, Progress::Sent);
    }
    AttemptError::new(Progress::Sent, link.reason(error)).into_status(Code::Unavailable)
}

/// The request's body failed with `error`.
pub(super) fn of_request_body(error: BoxError) -> Status {
    let status = into_status(error);
    let code = status.code();
    AttemptError::new(Progress::Sent, RequestBodyFailed(status)).into_status(code)
}

fn reset(error: &h2::Error, progress: Progress) -> Status {
    let by_peer = error.is_remote();
    let code = match error.reason() {
        Some(Reason::REFUSED_STREAM) if by_peer => Code::Unavailable,
        Some(Reason::CANCEL) if by_peer => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) if by_peer => Code::ResourceExhausted,
        Some(Reason::INADEQUATE_SECURITY) if by_peer => Code::PermissionDenied,
        _ => Code::Internal,
    };
    let reset = StreamReset {
        code: ErrorCode::of(error.reason()),
        by_peer,
    };
    AttemptError::new(progress, reset).into_status(code)
}
