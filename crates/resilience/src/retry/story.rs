use std::mem;
use std::sync::Arc;

use evenkeel_core::error::{AttemptSummary, CallFailed, DeadlineExceeded, cause};
use evenkeel_core::observe::abandon;
use evenkeel_core::{Answered, Picked};
use evenkeel_policy::retry::Stop;
use http::{HeaderName, HeaderValue, Response};
use tonic::Status;

use crate::deadline::{Expiry, NO_RESPONSE};

static ATTEMPTS: HeaderName = HeaderName::from_static("evenkeel-attempts");

/// The attempts of a call that have failed, for whoever is told of it.
#[derive(Debug, Default)]
pub(super) struct Story(Vec<AttemptSummary>);

impl Story {
    pub(super) fn push(&mut self, attempt: AttemptSummary) {
        self.0.push(attempt);
    }

    /// The status of a call whose last attempt failed without a response.
    pub(super) fn fail(&mut self, expiry: &Expiry, stop: Stop, last: Status) -> Status {
        let is_known = cause::<DeadlineExceeded>(&last).is_some();
        if stop == Stop::Deadline && !is_known {
            return self.no_time_left(expiry);
        }
        match self.0.len() {
            0 | 1 => last,
            _ => CallFailed::new(mem::take(&mut self.0), stop.as_str(), last).into(),
        }
    }

    /// Tells it in the response of a call whose last attempt was answered with a failure.
    pub(super) fn annotate<R>(&self, response: &mut Response<R>) {
        if self.0.len() < 2 {
            return;
        }
        // Only a Unix socket's path may have what a header may not.
        if let Ok(value) = HeaderValue::try_from(AttemptSummary::story(&self.0)) {
            response.headers_mut().insert(&ATTEMPTS, value);
        }
    }

    /// The call's time is over between two attempts.
    pub(super) fn no_time_left(&self, expiry: &Expiry) -> Status {
        let mut error = DeadlineExceeded::new(expiry.path());
        if let Some(last) = self.0.last() {
            let story = AttemptSummary::story(&self.0);
            error = error.with_last(format!("{}; attempts: {story}", last.message));
        }
        error.into()
    }

    /// The call's time is over; `drop` ends the attempts that are running.
    pub(super) fn deadline_exceeded(&self, expiry: &Expiry, drop: impl FnOnce()) -> Status {
        let waited_for = abandon(drop);
        let mut last = NO_RESPONSE.to_owned();
        if !self.0.is_empty() {
            last += &format!("; failed before: {}", AttemptSummary::story(&self.0));
        }
        let error = DeadlineExceeded::new(expiry.path()).with_last(last);
        error.with_endpoints(waited_for).into()
    }
}

/// Tells where a response comes from, and after how many attempts.
#[cold]
pub(super) fn name<R>(response: &mut Response<R>, attempts: u32, story: Option<&mut Story>) {
    let picked = response.extensions().get::<Picked>();
    let endpoint = picked.map(|picked| Arc::clone(&picked.endpoint));
    let failed = story.map_or_else(Vec::new, |story| mem::take(&mut story.0));
    let answered = Answered::new(endpoint, attempts, failed);
    response.extensions_mut().insert(answered);
}
