use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::BoxError;
use evenkeel_core::{Attempt, Progress, Tried};
use evenkeel_policy::retry::{RetryDecision, RetryState, Stop};
use evenkeel_policy::throttle::Throttle;
use http::{Request, Response};
use http_body::Body;
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

use super::failure::Failed;
use super::head::Head;
use super::layer::Shared;
use super::replay::ReplayBody;
use super::source::Source;
use super::story::{self, Story};
use crate::ResponseBody;
use crate::deadline::Expiry;
use crate::limits::{ResponseLimit, TooLarge, poll_too_large};

/// What a call keeps between its attempts.
pub(super) struct Call<S, B> {
    pub(super) shared: Arc<Shared<S>>,
    /// When it must have ended.
    pub(super) expiry: Expiry,
    /// Whether it is ended then; else that is someone else's business.
    pub(super) ends: bool,
    pub(super) head: Head,
    /// `None` when its request cannot be sent again.
    pub(super) source: Option<Source<B>>,
    /// `None` when no message of its request can be too long any more.
    pub(super) too_large: Option<TooLarge>,
    /// `None` until an attempt has failed, which few calls see.
    pub(super) failures: Option<Box<Failures<S>>>,
}

/// The attempts of a call that have failed.
pub(super) struct Failures<S> {
    state: RetryState,
    tried: Tried,
    story: Story,
    /// Attempts in a row that never left.
    unsent: u32,
    /// What further attempts go to; `None` before the first of them.
    service: Option<S>,
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

impl<S, B> Call<S, B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The request of `attempt`.
    ///
    /// # Errors
    ///
    /// The call's time is over.
    pub(super) fn request_of(
        &mut self,
        attempt: Attempt,
    ) -> Result<Request<ReplayBody<B>>, Status> {
        let at = self.expiry.at();
        let left = at.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            let nothing = Story::default();
            let story = self.failures.as_ref().map_or(&nothing, |it| &it.story);
            return Err(story.no_time_left(&self.expiry));
        }
        let source = self.source.as_mut();
        let source = source.expect("an attempt is only decided for what can be sent again");
        Ok(self
            .head
            .request(attempt, &self.expiry, left, source.next()))
    }
}

impl<S: Clone, B> Call<S, B> {
    /// What attempts after the first go to.
    pub(super) fn service(&mut self) -> &mut S {
        let failures = self.failures.as_mut();
        let failures = failures.expect("further attempts follow failures");
        failures
            .service
            .get_or_insert_with(|| self.shared.service())
    }
}

impl<S, B> Call<S, B> {
    #[inline]
    pub(super) fn new(
        shared: &Arc<Shared<S>>,
        expiry: Expiry,
        ends: bool,
        head: Head,
        source: Option<Source<B>>,
        too_large: Option<TooLarge>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            expiry,
            ends,
            head,
            source,
            too_large,
            failures: None,
        }
    }

    /// Decides what comes after a failed attempt, and notes it.
    #[cold]
    pub(super) fn on_failure(&mut self, mut failed: Failed) -> Next {
        let Self {
            expiry,
            source,
            failures,
            ..
        } = self;
        let path = expiry.path();
        let method = expiry.method();
        let Failures {
            state,
            tried,
            story,
            unsent,
            ..
        } = &mut **failures.get_or_insert_with(|| {
            // What cannot be sent again is not tried again, whatever the policy.
            let policy = source.as_ref().and(method);
            let policy = policy.and_then(|it| it.retry_policy().cloned());
            let deadline = expiry.at().map(Instant::into_std);
            Box::new(Failures::new(RetryState::new(policy, deadline)))
        });
        match source {
            Some(source) => {
                source.retire(source.reader());
                if let Some(replay) = source.replay() {
                    if replay.is_committed() {
                        state.commit();
                    }
                    failed.failure.is_final |= replay.has_failed();
                }
            }
            None => state.commit(),
        }
        let number = state.attempt();
        let decision = state.on_failure(
            Instant::now().into_std(),
            &failed.failure,
            method.and_then(|it| it.throttle.as_deref()),
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

    /// Whether anybody wants to know how the call came to its response.
    #[inline]
    pub(super) fn is_named(&self) -> bool {
        self.failures.is_some() || self.shared.settings.config.name_endpoints
    }

    /// Tells that in the response.
    #[cold]
    pub(super) fn name<R>(&mut self, response: &mut Response<R>) {
        let failures = self.failures.as_mut();
        let (attempts, story) = failures.map_or((1, None), |failures| {
            (failures.state.attempt(), Some(&mut failures.story))
        });
        story::name(response, attempts, story);
    }

    /// The body of the response that decides the call; what was kept for further attempts goes.
    /// `code` is that of the response's head, if it has one.
    #[inline]
    pub(super) fn deliver<R>(&mut self, code: Option<Code>, body: R) -> ResponseBody<R> {
        if let Some(source) = self.source.take() {
            source.commit();
        }
        let too_large = self.too_large.take();
        let (mut throttle, mut limit) = (None, None);
        if let Some(method) = self.expiry.method() {
            throttle = (method.throttle.as_ref()).and_then(|throttle| counting(throttle, code));
            limit = ResponseLimit::of(method, too_large);
        }
        let expiry = self.ends.then(|| mem::take(&mut self.expiry));
        ResponseBody::new(body, expiry, throttle, limit)
    }

    /// Ready when the call is to be ended: because of its request, or, if there is no status, because
    /// its time is over.
    #[inline]
    pub(super) fn poll_end(
        &mut self,
        timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Status>> {
        if self.too_large.is_some()
            && let Some(status) = poll_too_large(&mut self.too_large, cx)
        {
            return Poll::Ready(Some(status));
        }
        if !self.ends {
            return Poll::Pending;
        }
        ready!(self.expiry.poll(timer, cx));
        Poll::Ready(None)
    }

    /// When the call must have ended.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.expiry.at()
    }

    /// `status`, unless it means that the call's time is over.
    pub(super) fn status(&self, status: Status) -> Status {
        if self.ends {
            self.expiry.status(status)
        } else {
            status
        }
    }

    /// Why a response with `code` does not count: the server has noticed the end of the call's time
    /// first.
    pub(super) fn given_up(&self, code: Code) -> Option<Status> {
        let is_over = self.ends && self.expiry.explains(code);
        is_over.then(|| self.expiry.exceeded("the server gave up"))
    }

    /// The attempt that comes after those that have failed.
    pub(super) fn next_attempt(&self) -> Attempt {
        self.failures.as_ref().map_or_else(
            || Attempt::new(1, Tried::new()),
            |failures| Attempt::new(failures.state.attempt(), failures.tried.clone()),
        )
    }

    /// What has failed so far.
    pub(super) fn story(&mut self) -> Option<&mut Story> {
        self.failures.as_mut().map(|failures| &mut failures.story)
    }

    /// The status of a call whose last attempt failed without a response.
    pub(super) fn fail(&mut self, stop: Stop, last: Status) -> Status {
        match &mut self.failures {
            Some(failures) => failures.story.fail(&self.expiry, stop, last),
            None => last,
        }
    }

    /// The call's time is over; `drop` ends the attempt that is running.
    #[cold]
    pub(super) fn deadline_exceeded(&self, drop: impl FnOnce()) -> Status {
        let nothing = Story::default();
        let story = self.failures.as_ref().map_or(&nothing, |it| &it.story);
        story.deadline_exceeded(&self.expiry, drop)
    }
}

impl<S> Failures<S> {
    fn new(state: RetryState) -> Self {
        Self {
            state,
            tried: Tried::new(),
            story: Story::default(),
            unsent: 0,
            service: None,
        }
    }
}

/// Counts a success that a response's head tells; else leaves that to its body.
fn counting(throttle: &Arc<Throttle>, code: Option<Code>) -> Option<Arc<Throttle>> {
    if code == Some(Code::Ok) {
        throttle.on_success();
    }
    code.is_none().then(|| Arc::clone(throttle))
}
