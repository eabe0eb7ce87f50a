use evenkeel_core::error::{
    AttemptError, AttemptSummary, BreakerOpen, CallDropped, ChannelClosed, DeadlineExceeded, cause,
};
use evenkeel_core::{Picked, Progress};
use evenkeel_policy::retry::{Failure, Pushback};
use http::{HeaderMap, Response};
use tonic::{Code, Status, TimeoutExpired};

/// One failed attempt: what decides, and what is told.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) picked: Option<Picked>,
    pub(super) message: String,
}

impl Failed {
    /// An attempt without a response.
    pub(super) fn of_status(status: &Status) -> Self {
        let attempt = cause::<AttemptError>(status);
        let mut failure = Failure::new(status.code());
        failure.progress = attempt.map_or(Progress::Sent, AttemptError::progress);
        failure.pushback = pushback(status.metadata().as_ref());
        failure.is_final = cause::<DeadlineExceeded>(status).is_some()
            || cause::<TimeoutExpired>(status).is_some()
            || cause::<CallDropped>(status).is_some()
            || cause::<ChannelClosed>(status).is_some()
            || cause::<BreakerOpen>(status).is_some();
        Self {
            failure,
            picked: attempt.and_then(AttemptError::picked).cloned(),
            message: status.message().to_owned(),
        }
    }

    /// An attempt whose response has `code` in its head.
    pub(super) fn of_response<R>(code: Code, response: &Response<R>) -> Self {
        let mut failure = Failure::new(code);
        failure.pushback = pushback(response.headers());
        let message = match Status::from_header_map(response.headers()) {
            Some(status) => status.message().to_owned(),
            None => format!("HTTP status {}", response.status()),
        };
        Self {
            failure,
            picked: response.extensions().get::<Picked>().cloned(),
            message,
        }
    }

    /// The same as one line of the call's story.
    pub(super) fn summary(&self, number: u32) -> AttemptSummary {
        AttemptSummary::new(
            number,
            self.picked.as_ref().map(|picked| picked.endpoint.clone()),
            self.failure.code,
            self.message.clone(),
        )
    }
}

fn pushback(headers: &HeaderMap) -> Pushback {
    let values = headers.get_all(Pushback::HEADER);
    Pushback::parse(values.iter().map(http::HeaderValue::as_bytes))
}
