use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{
    Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream,
    Metadata, Outcome, Report,
};
use futures_util::Stream;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// An endpoint without a network that reports what it is told to, as a subchannel does.
pub(super) struct Steered {
    report: Arc<watch::Sender<Report>>,
    reports: Option<WatchStream<Report>>,
}

impl Steered {
    pub(super) fn new(endpoint: Endpoint, state: ConnectivityState) -> Self {
        let report = Report::new(Arc::new(endpoint), state);
        Self {
            report: Arc::new(watch::Sender::new(report)),
            reports: None,
        }
    }

    pub(super) fn set(&self, state: ConnectivityState) {
        self.report.send_modify(|report| report.state = state);
    }

    pub(super) fn weigh(&self, weight: f64) {
        self.report.send_modify(|report| {
            let endpoint = Endpoint::clone(&report.endpoint);
            let metadata = Metadata::default().with_weight(weight);
            report.endpoint = Arc::new(endpoint.with_metadata(metadata));
        });
    }
}

impl Clone for Steered {
    fn clone(&self) -> Self {
        Self {
            report: self.report.clone(),
            reports: None,
        }
    }
}

impl Connectivity for Steered {
    type Sender = ();
    type Admission = ();

    fn admit(&self, _: Admit) -> Result<((), ()), BoxError> {
        Ok(((), ()))
    }

    fn settle(&self, (): (), _: Outcome, _: &str) {}

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let subscribe = || WatchStream::new(self.report.subscribe());
        Pin::new(self.reports.get_or_insert_with(subscribe)).poll_next(cx)
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}

    fn stream_load(&self, _: Option<&LoadStream>, _: &Arc<EndpointStats>) {}

    fn check_health(&self, _: Option<&Arc<str>>) {}

    fn allow_connections(&self, _: u32) {}
}
