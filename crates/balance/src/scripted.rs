//! Endpoints that only report, for tests of the driver.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{
    Address, Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream,
    Metadata, Outcome, Report,
};
use futures_util::Stream;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// Reports what the test says; no call can be sent there.
pub(crate) struct Scripted {
    pub(crate) report: Arc<watch::Sender<Report>>,
    reports: Option<WatchStream<Report>>,
}

impl Scripted {
    /// At port `port` of 10.0.0.1, READY.
    pub(crate) fn new(port: u16) -> Self {
        let address = Address::Ip(([10, 0, 0, 1], port).into());
        let endpoint = Arc::new(Endpoint::new(address));
        let report = Report::new(endpoint, ConnectivityState::Ready);
        Self {
            report: Arc::new(watch::Sender::new(report)),
            reports: None,
        }
    }

    pub(crate) fn set(&self, state: ConnectivityState) {
        self.report.send_modify(|report| report.state = state);
    }

    pub(crate) fn weigh(&self, weight: f64) {
        self.report.send_modify(|report| {
            let metadata = Metadata::default().with_weight(weight);
            let endpoint = Endpoint::clone(&report.endpoint).with_metadata(metadata);
            report.endpoint = Arc::new(endpoint);
        });
    }
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        Self {
            report: self.report.clone(),
            reports: None,
        }
    }
}

impl Connectivity for Scripted {
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
