use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use evenkeel_core::{BoxError, ConnectivityState, Endpoint, Report};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;

/// What a subchannel's handles and its driver share.
pub(super) struct State<H> {
    /// The connection calls go over; set exactly while READY.
    pub(super) connection: ArcSwapOption<H>,
    report: watch::Sender<Report>,
    asked: Mutex<Asked>,
    ask: Notify,
}

/// What a handle asks of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Connect,
    Disconnect,
    ResetBackoff,
}

/// What was asked and not yet answered. Of connecting and disconnecting the last word counts.
#[derive(Debug, Default)]
struct Asked {
    connect: Option<bool>,
    reset_backoff: bool,
}

impl<H> State<H> {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        let report = Report::new(endpoint, ConnectivityState::Idle);
        Self {
            connection: ArcSwapOption::empty(),
            report: watch::Sender::new(report),
            asked: Mutex::default(),
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
    /// Nobody is told what has not changed.
    pub(super) fn publish(&self, state: ConnectivityState, error: Option<BoxError>) {
        self.report.send_if_modified(|report| {
            let failing = match state {
                ConnectivityState::TransientFailure | ConnectivityState::Shutdown => true,
                ConnectivityState::Connecting => report.failing,
                ConnectivityState::Idle | ConnectivityState::Ready => false,
            };
            let changed = (report.state, report.failing) != (state, failing) || error.is_some();
            (report.state, report.failing) = (state, failing);
            match error {
                Some(error) => report.error = Some(error.into()),
                None if state == ConnectivityState::Ready => report.error = None,
                None => {}
            }
            changed
        });
    }

    pub(super) fn ask(&self, ask: Ask) {
        {
            let mut asked = self.asked.lock();
            match ask {
                Ask::Connect => asked.connect = Some(true),
                Ask::Disconnect => asked.connect = Some(false),
                Ask::ResetBackoff => asked.reset_backoff = true,
            }
        }
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

impl Asked {
    fn take(&mut self) -> Option<Ask> {
        if std::mem::take(&mut self.reset_backoff) {
            return Some(Ask::ResetBackoff);
        }
        let connect = self.connect.take()?;
        Some(if connect {
            Ask::Connect
        } else {
            Ask::Disconnect
        })
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
