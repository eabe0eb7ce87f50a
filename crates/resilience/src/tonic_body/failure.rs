use std::error::Error;
use std::io;

use evenkeel_core::Progress;
use evenkeel_core::error::{AttemptError, BoxError, cause, into_status};
use tonic::{Code, Status};

/// The status of a failed attempt on tonic's channel.
pub(super) fn status(error: BoxError) -> Status {
    match progress(&*error) {
        Some(progress) => AttemptError::new(progress, error).into_status(Code::Unavailable),
        None => into_status(error),
    }
}

/// How far an attempt got whose connection or stream was lost; `None` for every other failure,
/// a connection that could not be made included: tonic has UNAVAILABLE for that.
fn progress(error: &(dyn Error + 'static)) -> Option<Progress> {
    if cause::<tonic::ConnectError>(error).is_some() {
        return None;
    }
    let hyper = cause::<hyper::Error>(error);
    // hyper's word for a request that it gives up before it has begun to send it.
    if hyper.is_some_and(hyper::Error::is_canceled) {
        return Some(Progress::NotSent);
    }
    if let Some(error) = cause::<h2::Error>(error) {
        let reason = error.reason();
        let graceful = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
        if error.is_remote() && (graceful || refused) {
            return Some(Progress::Refused);
        }
        return error.is_io().then_some(Progress::Sent);
    }
    let lost = hyper.is_some_and(|error| error.is_closed() || cause::<io::Error>(error).is_some());
    lost.then_some(Progress::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_and_other_resets_are_told_apart() {
        let refused = h2::Error::from(h2::Reason::REFUSED_STREAM);
        assert_eq!(progress(&refused), None, "this side's own refusal is none");
        let internal = h2::Error::from(h2::Reason::INTERNAL_ERROR);
        assert_eq!(progress(&internal), None);
        assert_eq!(
            status(Box::new(Status::not_found("x"))).code(),
            Code::NotFound
        );
    }
}
