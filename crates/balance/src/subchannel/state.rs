use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{BoxError, ConnectivityState, Endpoint, Report};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;

use crate::published::Published;

/// What a subchannel's handles and its driver share.
pub(super) struct State<H> {
    /// The connection calls go over; set exactly while READY.
    pub(super) connection: Published<Option<H>>,
    report: watch::Sender<Report>,
    asked: Mutex<Option<Ask>>,
    ask: Notify,
}

/// What a handle asks of the driver; the last word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Connect,
    Disconnect,
    ResetBackoff,
}

impl<H> State<H> {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        let report = Report::new(endpoint, ConnectivityState::Idle);
        Self {
            connection: Published::new(None),
            report: watch::Sender::new(report),
            asked: Mutex::new(None),
            ask: Notify::new(),
        }
    }

    pub(super) fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    pub(super) fn reports(&self) -> Reports {
        Reports(WatchStream::new(self.report.subscribe()))
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.report.borrow().endpoint.clone()
    }

    pub(super) fn set_endpoint(&self, endpoint: Arc<Endpoint>) {
        self.report.send_if_modified(|report| {
            let changed = report.endpoint != endpoint;
            report.endpoint = endpoint;
            changed
        });
    }

    /// Publishes a state; `error` replaces the last one unless it is `None`, and READY clears it.
    pub(super) fn publish(&self, state: ConnectivityState, error: Option<BoxError>) {
        self.report.send_modify(|report| {
            report.state = state;
            match state {
                ConnectivityState::TransientFailure => report.failing = true,
                ConnectivityState::Connecting => {}
                _ => report.failing = false,
            }
            match error {
                Some(error) => report.error = Some(error.into()),
                None if state == ConnectivityState::Ready => report.error = None,
                None => {}
            }
        });
    }

    pub(super) fn ask(&self, ask: Ask) {
        *self.asked.lock() = Some(ask);
        self.ask.notify_one();
    }

    /// The next thing asked. Cancel safe: what was not returned is returned later.
    pub(super) async fn asked(&self) -> Ask {
        loop {
            if let Some(ask) = self.asked.lock().take() {
                return ask;
            }
            self.ask.notified().await;
        }
    }
}

/// The sequence of reports one watcher sees.
pub(super) struct Reports(WatchStream<Report>);

impl Reports {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reports")
    }
}
