use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{AttemptSummary, BoxError, CallFailed, DeadlineExceeded, cause};
use evenkeel_core::{Attempt, Deadline, Progress, Tried, headers};
use evenkeel_policy::retry::{RetryDecision, RetryState, Stop};
use evenkeel_policy::throttle::Throttle;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::failure::Failed;
use super::head::Head;
use super::layer::Shared;
use super::replay::{Lease, Replay, ReplayBody, Upfront};
use crate::timeout::{self, GRPC_TIMEOUT};

static ATTEMPTS: HeaderName = HeaderName::from_static("evenkeel-attempts");

/// What a call keeps between its attempts.
pub(super) struct Call<B> {
    shared: Arc<Shared>,
    /// When it must have ended.
    deadline: Option<std::time::Instant>,
    again: Option<Again<B>>,
    /// `None` until an attempt has failed, which few calls see.
    failures: Option<Box<Failures>>,
}

/// The attempts of a call that have failed.
struct Failures {
    state: RetryState,
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
    /// Prepares a call: the body of its first attempt, and what further ones need.
    #[inline]
    pub(super) fn start(
        parts: &Parts,
        body: B,
        upfront: Upfront,
        shared: &Arc<Shared>,
    ) -> (Self, ReplayBody<B>) {
        let (limit, budget) = (shared.config.call_buffer, &shared.budget);
        let (source, first) = match upfront {
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
        let deadline = deadline(parts);
        let again = source.map(|source| Again {
            head: Head::copy(parts, deadline.is_some()),
            source,
        });
        let call = Self {
            shared: Arc::clone(shared),
            deadline,
            again,
            failures: None,
        };
        (call, first)
    }

    /// The request of the next attempt.
    ///
    /// # Errors
    ///
    /// The call's time is over.
    pub(super) fn next_request(&mut self) -> Result<Request<ReplayBody<B>>, Status> {
        let deadline = self.deadline.map(Instant::from_std);
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
        let attempt = self.failures.as_ref().map_or_else(
            || Attempt::new(1, Tried::new()),
            |failures| Attempt::new(failures.state.attempt(), failures.tried.clone()),
        );
        Ok(again.head.request(attempt, left, body))
    }
}

impl<B> Call<B> {
    /// Decides what comes after a failed attempt, and notes it.
    #[cold]
    pub(super) fn on_failure(&mut self, mut failed: Failed) -> Next {
        let Self {
            shared,
            deadline,
            again,
            failures,
        } = self;
        let again = again.as_ref();
        let path = path(again);
        let Failures {
            state,
            tried,
            story,
            unsent,
        } = &mut **failures.get_or_insert_with(|| {
            let policy = shared.policy(path).cloned();
            Box::new(Failures::new(RetryState::new(policy, *deadline)))
        });
        match again {
            Some(Again {
                source: Source::Shared { replay, .. },
                ..
            }) => {
                if replay.is_committed() {
                    state.commit();
                }
                failed.failure.is_final |= replay.has_failed();
            }
            Some(_) => {}
            None => state.commit(),
        }
        let number = state.attempt();
        let decision = state.on_failure(
            Instant::now().into_std(),
            &failed.failure,
            shared.throttle.as_deref(),
            fastrand::u64(..),
        );
        let never_left =
            decision == RetryDecision::Transparent && failed.failure.progress == Progress::NotSent;
        let next = match decision {
            RetryDecision::Retry(delay) => Next::After(delay),
            RetryDecision::Transparent if never_left => {
                *unsent += 1;
                // The timer, as short as it may be, lets others run.
                match unsent {
                    1 => Next::Now,
                    _ => Next::After(Duration::ZERO),
                }
            }
            RetryDecision::Transparent => Next::Now,
            RetryDecision::Stop(stop) => Next::Stop(stop),
        };
        let summary = failed.summary(number);
        tracing::debug!(
            path,
            attempt = %summary,
            message = %summary.message,
            ?next,
            "attempt failed"
        );
        if let Some(picked) = &failed.picked
            && !tried.contains(&picked.id)
        {
            tried.push(picked.id);
        }
        if !never_left {
            story.push(summary);
        }
        next
    }

    /// The response decides the call: what was kept for further attempts goes.
    #[inline]
    pub(super) fn commit(&mut self) {
        if let Some(Again {
            source: Source::Shared { replay, reader },
            ..
        }) = &self.again
        {
            replay.commit(*reader);
        }
        self.again = None;
    }

    /// The channel's throttle, if it has one.
    #[inline]
    pub(super) fn throttle(&self) -> Option<Arc<Throttle>> {
        self.shared.throttle.clone()
    }

    /// When the call must have ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.map(Instant::from_std)
    }

    /// The status of a call whose last attempt failed without a response.
    pub(super) fn fail(&mut self, stop: Stop, last: Status) -> Status {
        let is_known = cause::<DeadlineExceeded>(&last).is_some();
        if stop == Stop::Deadline && !is_known {
            return self.deadline_exceeded();
        }
        match &mut self.failures {
            Some(failures) if failures.story.len() > 1 => {
                let story = std::mem::take(&mut failures.story);
                CallFailed::new(story, stop.as_str(), last).into()
            }
            _ => last,
        }
    }

    /// The response of a call whose last attempt was answered with a failure.
    pub(super) fn annotate<R>(&self, response: &mut Response<R>) {
        let story = self.story();
        if story.len() < 2 {
            return;
        }
        // Only a Unix socket's path may have what a header may not.
        if let Ok(value) = HeaderValue::try_from(AttemptSummary::story(story)) {
            response.headers_mut().insert(&ATTEMPTS, value);
        }
    }

    /// The call's time is over between two attempts.
    pub(super) fn deadline_exceeded(&self) -> Status {
        let mut error = DeadlineExceeded::new(path(self.again.as_ref()));
        if let Some(last) = self.story().last() {
            let story = AttemptSummary::story(self.story());
            error = error.with_last(format!("{}; attempts: {story}", last.message));
        }
        error.into()
    }

    fn story(&self) -> &[AttemptSummary] {
        self.failures.as_ref().map_or(&[], |it| &it.story)
    }
}

impl Failures {
    fn new(state: RetryState) -> Self {
        Self {
            state,
            tried: Tried::new(),
            story: Vec::new(),
            unsent: 0,
        }
    }
}

fn path<B>(again: Option<&Again<B>>) -> &str {
    again.map_or("a request that is not kept", |again| again.head.path())
}

/// When the call must have ended: as the deadline layer says, or else its `grpc-timeout`.
fn deadline(parts: &Parts) -> Option<std::time::Instant> {
    if let Some(Deadline(at)) = parts.extensions.get() {
        return Some(*at);
    }
    let timeout = timeout::decode(headers::get(&parts.headers, &GRPC_TIMEOUT)?)?;
    let at = Instant::now().checked_add(timeout)?;
    Some(at.into_std())
}

/// The code of a response that is a failure from its head on.
pub(super) fn failed_head<R>(response: &Response<R>) -> Option<Code> {
    evenkeel_core::observe::head_status(response).filter(|code| *code != Code::Ok)
}
