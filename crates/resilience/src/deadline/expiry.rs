use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_core::BoxError;
use evenkeel_core::error::{DeadlineExceeded, cause, into_status};
use http::Uri;
use http::uri::PathAndQuery;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status, TimeoutExpired};

/// When a call ends, and what it is called then.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    at: Option<Instant>,
    path: Option<PathAndQuery>,
}

impl Expiry {
    pub(super) fn at(at: Instant, uri: &Uri) -> Self {
        Self {
            at: Some(at),
            path: uri.path_and_query().cloned(),
        }
    }

    pub(super) fn never(uri: &Uri) -> Self {
        Self {
            at: None,
            path: uri.path_and_query().cloned(),
        }
    }

    pub(super) const fn exists(&self) -> bool {
        self.at.is_some()
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Ready when the call's time is over. The timer is made here, so that a call that is
    /// answered without waiting has none.
    pub(super) fn poll(
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
    pub(super) fn poll_boxed(
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

    /// The end of the call's time.
    pub(super) fn exceeded(&self, last: impl Into<String>) -> Status {
        let path = self.path.as_ref().map_or("/", PathAndQuery::path);
        DeadlineExceeded::new(path).with_last(last).into()
    }

    /// `error` as a status, with tonic's word for the end of a call's time put right.
    pub(super) fn status(&self, error: BoxError) -> Status {
        let status = into_status(error);
        if cause::<TimeoutExpired>(&status).is_some() || self.explains(status.code()) {
            return self.exceeded(status.message());
        }
        status
    }

    /// Whether `code` says that someone else has noticed the end of the call's time first: a
    /// tonic server answers CANCELLED then.
    pub(super) fn explains(&self, code: Code) -> bool {
        code == Code::Cancelled && self.is_over()
    }
}
