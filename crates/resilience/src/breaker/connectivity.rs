use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel_core::{
    Admit, BoxError, BreakerState, Connectivity, ConnectivityState, EndpointStats, LoadStream,
    Outcome, Report, Waiter,
};
use evenkeel_policy::breaker::Admission;
use tokio::time::{Sleep, sleep_until};

use super::Breaker;
use super::shared::Shared;

/// What one clone has seen of its endpoint and its breaker.
#[derive(Debug)]
pub(super) struct View {
    shared: Arc<Shared>,
    waiter: Waiter,
    timer: Timer,
    /// The latest report of the inner service.
    inner: Option<Report>,
    /// What the last report said of the breaker.
    told: Option<(BreakerState, bool)>,
    /// The refusals before the last report.
    refusals: u64,
}

impl<S: Connectivity> Connectivity for Breaker<S> {
    /// The balancer settles, so that nothing of the breaker is around the attempt.
    type Sender = S::Sender;
    type Admission = (Admission, S::Admission);

    #[inline]
    fn admit(&self, admit: Admit) -> Result<(S::Sender, Self::Admission), BoxError> {
        // Before the inner service: there, who is refused would have taken somebody's turn.
        let admission = self.shared.admit(admit)?;
        match self.inner.admit(admit) {
            Ok((sender, inner)) => Ok((sender, (admission, inner))),
            Err(error) => {
                self.shared.settle(admission, Outcome::Abandoned, "");
                Err(error)
            }
        }
    }

    #[inline]
    fn answered(&self, (admission, inner): &Self::Admission) {
        self.shared.answered(*admission);
        self.inner.answered(inner);
    }

    #[inline]
    fn settle(&self, (admission, inner): Self::Admission, outcome: Outcome, message: &str) {
        self.shared.settle(admission, outcome, message);
        self.inner.settle(inner, outcome, message);
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let shared = &self.shared;
        let view = self.view.get_or_insert_with(|| {
            Box::new(View {
                shared: shared.clone(),
                waiter: shared.enter(),
                timer: Timer::default(),
                inner: None,
                told: None,
                refusals: 0,
            })
        });
        match self.inner.poll_report(cx) {
            Poll::Ready(Some(report)) => {
                shared.guards(&report.endpoint);
                view.inner = Some(report);
                view.told = None;
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let (mut status, mut refusals) = shared.advance_and_wait(&view.waiter, cx);
        while view.timer.poll(status.wake_at, cx).is_ready() {
            (status, refusals) = shared.advance_and_wait(&view.waiter, cx);
        }

        let now = (status.state, status.admits);
        // Who was refused waits for a report, even if all is again as the last one said.
        let is_awaited = status.admits && refusals != view.refusals;
        let is_news = view.told != Some(now) || is_awaited;
        let Some(report) = view.inner.as_ref().filter(|_| is_news) else {
            return Poll::Pending;
        };
        view.told = Some(now);
        view.refusals = refusals;
        let mut report = report.clone();
        report.breaker = Some(status.state);
        if report.state == ConnectivityState::Ready && !status.admits {
            report.state = ConnectivityState::TransientFailure;
            report.error = Some(Arc::new(shared.refusal()));
            report.held_back = shared.is_last_resort();
        } else if report.held_back && !status.admits && !shared.is_last_resort() {
            // Whoever holds it back would let calls pass, and this does not.
            report.error = Some(Arc::new(shared.refusal()));
            report.held_back = false;
        }
        Poll::Ready(Some(report))
    }

    fn connect(&self) {
        self.inner.connect();
    }

    fn disconnect(&self) {
        self.inner.disconnect();
    }

    fn reset_backoff(&self) {
        self.inner.reset_backoff();
    }

    fn stream_load(&self, wanted: Option<&LoadStream>, stats: &Arc<EndpointStats>) {
        self.inner.stream_load(wanted, stats);
    }

    fn check_health(&self, service: Option<&Arc<str>>) {
        self.inner.check_health(service);
    }

    fn allow_connections(&self, most: u32) {
        self.inner.allow_connections(most);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.shared.leave(&self.waiter);
    }
}

/// A timer that is set anew whenever its time changes.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once when it is `at`; never for `None`.
    fn poll(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let set = self.0.as_ref().map(|sleep| sleep.deadline().into_std());
        if set != at {
            self.0 = at.map(|at| Box::pin(sleep_until(at.into())));
        }
        let Some(sleep) = &mut self.0 else {
            return Poll::Pending;
        };
        let rung = sleep.as_mut().poll(cx);
        if rung.is_ready() {
            self.0 = None;
        }
        rung
    }
}
