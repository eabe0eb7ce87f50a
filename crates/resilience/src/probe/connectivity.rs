use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{
    Admit, BoxError, Connectivity, ConnectivityState, EndpointStats, LoadStream, Outcome, Report,
    Waiter,
};

use super::Probed;
use super::shared::Shared;

/// What one clone has seen of its endpoint and its probes.
#[derive(Debug)]
pub(super) struct View {
    shared: Arc<Shared>,
    waiter: Waiter,
    /// The latest report of the inner service.
    inner: Option<Report>,
    /// The version of what the last report said of the probes.
    told: Option<u64>,
}

impl<S: Connectivity> Connectivity for Probed<S> {
    type Sender = S::Sender;
    type Admission = S::Admission;

    #[inline]
    fn admit(&self, admit: Admit) -> Result<(S::Sender, S::Admission), BoxError> {
        self.inner.admit(admit)
    }

    #[inline]
    fn answered(&self, admission: &S::Admission) {
        self.inner.answered(admission);
    }

    #[inline]
    fn settle(&self, admission: S::Admission, outcome: Outcome, message: &str) {
        self.inner.settle(admission, outcome, message);
    }

    /// # Panics
    ///
    /// Outside a tokio runtime, if it is probed.
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let Some(probes) = &mut self.probes else {
            return self.inner.poll_report(cx);
        };
        let shared = &probes.shared;
        let view = probes.view.get_or_insert_with(|| View {
            shared: shared.clone(),
            waiter: shared.enter(),
            inner: None,
            told: None,
        });
        match self.inner.poll_report(cx) {
            Poll::Ready(Some(report)) => {
                shared.follow(&report);
                view.inner = Some(report);
                view.told = None;
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let found = shared.found(&view.waiter, cx);
        let Some(report) = view
            .inner
            .as_ref()
            .filter(|_| view.told != Some(found.version))
        else {
            return Poll::Pending;
        };
        view.told = Some(found.version);
        let mut report = report.clone();
        if let Some(failed) = found.failed {
            if report.state == ConnectivityState::Ready {
                report.state = ConnectivityState::TransientFailure;
                report.error = Some(failed);
                report.held_back = shared.is_last_resort();
            } else if report.held_back && !shared.is_last_resort() {
                report.error = Some(failed);
                report.held_back = false;
            }
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
