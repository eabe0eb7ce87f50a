use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{AttemptSummary, BoxError, CallFailed, DeadlineExceeded, cause};
use evenkeel_core::{Attempt, Deadline, Progress, Tried};
use evenkeel_policy::retry::{RetryDecision, RetryPolicy, RetryState, Stop};
use evenkeel_policy::throttle::Throttle;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::failure::Failed;
use super::head::Head;
use super::replay::{Budget, Lease, Replay, ReplayBody, Upfront, read_upfront};
use crate::timeout::{self, GRPC_TIMEOUT};

static ATTEMPTS: HeaderName = HeaderName::from_static("evenkeel-attempts");

/// What a call keeps between its attempts.
pub(super) struct Call<B> {
    state: RetryState,
    throttle: Option<Arc<Throttle>>,
    again: Option<Again<B>>,
    tried: Tried,
    story: Vec<AttemptSummary>,
    /// Attempts in a row that never left.
    unsent: u32,
}

/// What it takes to send the request again; `None` when that is out of the question.
struct Again<B> {
    head: Head,
    source: Source<B>,
}

enum Source<B> {
    Full {
        data: Option<Bytes>,
        /// Held until the call is committed or over.
        _lease: Lease,
    },
    Shared {
        replay: Arc<Replay<B>>,
        /// The reader of the running attempt.
        reader: u32,
    },
}

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, after a delay.
    After(Duration),
    /// Another one, now.
    Now,
    /// Nothing.
    Stop(Stop),
}

impl<B> Call<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Prepares a call: the request of its first attempt, and what further ones need. `limits`
    /// are those of the call's and of the channel's buffers.
    ///
    /// # Errors
    ///
    /// The error of the request's body, if it fails at once.
    pub(super) fn start(
        request: Request<B>,
        policy: Option<RetryPolicy>,
        throttle: Option<Arc<Throttle>>,
        (limit, budget): (usize, &Arc<Budget>),
    ) -> Result<(Self, Request<ReplayBody<B>>), Status> {
        let (mut parts, mut body) = request.into_parts();
        let mut state = RetryState::new(policy, deadline(&parts));
        let timed = state.deadline().is_some();
        let (source, first) = match read_upfront(&mut body)? {
            Upfront::Complete(data) => {
                let length = data.as_ref().map_or(0, Bytes::len);
                let lease = (length <= limit).then(|| budget.lease(length)).flatten();
                let source = lease.map(|lease| Source::Full {
                    data: data.clone(),
                    _lease: lease,
                });
                (source, ReplayBody::full(data))
            }
            Upfront::Partial(frames, trailers) => {
                let replay = Replay::new(body, frames, trailers, limit, budget.empty_lease());
                let first = ReplayBody::shared(&replay);
                let reader = replay.last_reader();
                (Some(Source::Shared { replay, reader }), first)
            }
        };
        let again = source.map(|source| Again {
            head: Head::copy(&mut parts, timed),
            source,
        });
        if again.is_none() {
            state.commit();
        }
        let call = Self {
            state,
            throttle,
            again,
            tried: Tried::new(),
            story: Vec::new(),
            unsent: 0,
        };
        Ok((call, Request::from_parts(parts, first)))
    }

    /// The request of the next attempt.
    ///
    /// # Errors
    ///
    /// The call's time is over.
    pub(super) fn next_request(&mut self) -> Result<Request<ReplayBody<B>>, Status> {
        let deadline = self.state.deadline().map(Instant::from_std);
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(self.deadline_exceeded());
        }
        let again = self.again.as_mut();
        let again = again.expect("an attempt is only decided for what can be sent again");
        let body = match &mut again.source {
            Source::Full { data, .. } => ReplayBody::full(data.clone()),
            Source::Shared { replay, reader } => {
                let body = ReplayBody::shared(replay);
                *reader = replay.last_reader();
                body
            }
        };
        let attempt = Attempt::new(self.state.attempt(), self.tried.clone());
        Ok(again.head.request(attempt, left, body))
    }
}

impl<B> Call<B> {
    /// Decides what comes after a failed attempt, and notes it.
    pub(super) fn on_failure(&mut self, mut failed: Failed) -> Next {
        if let Some(Again {
            source: Source::Shared { replay, .. },
            ..
        }) = &self.again
        {
            if replay.is_committed() {
                self.state.commit();
            }
            failed.failure.is_final |= replay.has_failed();
        }
        let number = self.state.attempt();
        let decision = self.state.on_failure(
            Instant::now().into_std(),
            &failed.failure,
            self.throttle.as_deref(),
            fastrand::u64(..),
        );
        let next = match decision {
            RetryDecision::Retry(delay) => Next::After(delay),
            RetryDecision::Transparent if failed.failure.progress == Progress::NotSent => {
                self.unsent += 1;
                // The timer, as short as it may be, lets others run.
                match self.unsent {
                    1 => Next::Now,
                    _ => Next::After(Duration::ZERO),
                }
            }
            RetryDecision::Transparent => Next::Now,
            RetryDecision::Stop(stop) => Next::Stop(stop),
        };
        let summary = failed.summary(number);
        tracing::debug!(
            path = self.path(),
            attempt = %summary,
            message = %summary.message,
            ?next,
            "attempt failed"
        );
        if let Some(picked) = &failed.picked
            && !self.tried.contains(&picked.id)
        {
            self.tried.push(picked.id);
        }
        let unsent =
            decision == RetryDecision::Transparent && failed.failure.progress == Progress::NotSent;
        if !unsent {
            self.story.push(summary);
        }
        next
    }

    /// The response decides the call: what was kept for further attempts goes.
    pub(super) fn commit(&mut self) {
        if let Some(Again {
            source: Source::Shared { replay, reader },
            ..
        }) = self.again.take()
        {
            replay.commit(reader);
        }
    }

    /// The channel's throttle, if it has one.
    pub(super) fn take_throttle(&mut self) -> Option<Arc<Throttle>> {
        self.throttle.take()
    }

    /// When the call must have ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state.deadline().map(Instant::from_std)
    }

    /// The status of a call whose last attempt failed without a response.
    pub(super) fn fail(&mut self, stop: Stop, last: Status) -> Status {
        let is_known = cause::<DeadlineExceeded>(&last).is_some();
        if stop == Stop::Deadline && !is_known {
            return self.deadline_exceeded();
        }
        if self.story.len() < 2 {
            return last;
        }
        CallFailed::new(std::mem::take(&mut self.story), stop.as_str(), last).into()
    }

    /// The response of a call whose last attempt was answered with a failure.
    pub(super) fn annotate<R>(&self, response: &mut Response<R>) {
        if self.story.len() < 2 {
            return;
        }
        // Only a Unix socket's path may have what a header may not.
        if let Ok(value) = HeaderValue::try_from(AttemptSummary::story(&self.story)) {
            response.headers_mut().insert(&ATTEMPTS, value);
        }
    }

    /// The call's time is over between two attempts.
    pub(super) fn deadline_exceeded(&self) -> Status {
        let mut error = DeadlineExceeded::new(self.path());
        if let Some(last) = self.story.last() {
            let story = AttemptSummary::story(&self.story);
            error = error.with_last(format!("{}; attempts: {story}", last.message));
        }
        error.into()
    }

    fn path(&self) -> &str {
        let again = self.again.as_ref();
        again.map_or("a request that is not kept", |again| again.head.path())
    }
}

/// When the call must have ended: as the deadline layer says, or else its `grpc-timeout`.
fn deadline(parts: &Parts) -> Option<std::time::Instant> {
    if let Some(Deadline(at)) = parts.extensions.get() {
        return Some(*at);
    }
    let timeout = timeout::decode(parts.headers.get(&GRPC_TIMEOUT)?)?;
    let at = Instant::now().checked_add(timeout)?;
    Some(at.into_std())
}

/// The code of a response that is a failure from its head on.
pub(super) fn failed_head<R>(response: &Response<R>) -> Option<Code> {
    evenkeel_core::observe::head_status(response).filter(|code| *code != Code::Ok)
}
