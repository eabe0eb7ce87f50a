use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::error::{DeadlineExceeded, cause};
use evenkeel_core::observe::abandon;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status, TimeoutExpired};

use crate::method::Method;

/// When a call ends, and what was configured for it when it started.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    at: Option<Instant>,
    /// `None` after it was handed on.
    method: Option<Arc<Method>>,
}

impl Expiry {
    #[inline]
    pub(crate) const fn new(at: Option<Instant>, method: Arc<Method>) -> Self {
        Self {
            at,
            method: Some(method),
        }
    }

    /// When that is; `None` for never.
    #[inline]
    pub(crate) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// `/package.Service/Method`.
    pub(crate) fn path(&self) -> &str {
        self.method.as_ref().map_or("/", |it| it.path.path())
    }

    /// What was configured for the call when it started.
    #[inline]
    pub(crate) const fn method(&self) -> Option<&Arc<Method>> {
        self.method.as_ref()
    }

    #[inline]
    pub(crate) const fn exists(&self) -> bool {
        self.at.is_some()
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Ready when the call's time is over. The timer is made here, so that a call that is
    /// answered without waiting has none.
    pub(crate) fn poll(
        &self,
        mut timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if timer.is_none() {
            timer.set(Some(sleep_until(at)));
        }
        let timer = timer.as_pin_mut().expect("the timer was just set");
        timer.poll(cx)
    }

    /// The same with a timer that may move.
    pub(crate) fn poll_boxed(
        &self,
        timer: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().poll(cx)
    }

    /// The end of the call's time, which is noticed here: `drop` ends the call's attempts.
    #[cold]
    pub(crate) fn exceeded_by(&self, last: &str, drop: impl FnOnce()) -> Status {
        let waited_for = abandon(drop);
        let error = DeadlineExceeded::new(self.path()).with_last(last);
        error.with_endpoints(waited_for).into()
    }

    /// The end of the call's time, as someone else has noticed it.
    #[cold]
    pub(crate) fn exceeded(&self, last: impl Into<String>) -> Status {
        DeadlineExceeded::new(self.path()).with_last(last).into()
    }

    /// `status`, with tonic's word for the end of a call's time put right.
    pub(crate) fn status(&self, status: Status) -> Status {
        if cause::<TimeoutExpired>(&status).is_some() || self.explains(status.code()) {
            return self.exceeded(status.message());
        }
        status
    }

    /// Whether `code` says that someone else has noticed the end of the call's time first: a
    /// tonic server answers CANCELLED then.
    pub(crate) fn explains(&self, code: Code) -> bool {
        code == Code::Cancelled && self.is_over()
    }
}

/// Why a call fails whose time is over before it has begun.
pub(crate) const NO_TIME: &str = "there was no time to send it";

/// What a call was waiting for whose time is over before the response has begun.
pub(crate) const NO_RESPONSE: &str = "no response yet";
