use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwapOption;
use evenkeel_core::{
    BoxError, ConnectivityState, Endpoint, EndpointStats, LoadStream, Report, Waiter, Waiters,
};
use parking_lot::Mutex;

use super::pool::Pool;

/// What a subchannel's handles and its driver share.
pub(super) struct State<H> {
    /// The connection calls go over; set exactly while there is one, however it is shown, unless there
    /// may be several.
    pub(super) connection: ArcSwapOption<H>,
    /// From the first time there may be several: then `connection` is none, and all are here.
    pub(super) pool: OnceLock<Arc<Pool<H>>>,
    told: Mutex<Told>,
    asked: Mutex<Asked>,
    /// Boxed: most endpoints have none.
    streams: Mutex<Option<Box<Streams>>>,
}

/// What the server is to stream over the oldest connection beside its calls.
#[derive(Debug, Default)]
struct Streams {
    load: Option<LoadWatch>,
    /// Of this service.
    health: Option<Arc<str>>,
}

/// How the server is to report its load, and where that goes.
#[derive(Clone, Debug)]
pub(super) struct LoadWatch {
    pub(super) stream: LoadStream,
    pub(super) stats: Arc<EndpointStats>,
}

/// The present report, and who waits for another.
struct Told {
    report: Report,
    /// Grows with each change.
    version: u64,
    waiters: Waiters,
}

/// What a handle asks of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Connect,
    Disconnect,
    ResetBackoff,
    /// Look what the server is to stream.
    Stream,
    /// Look how many connections there may be, and whether calls wait for one.
    Scale,
}

/// What was asked and not yet answered. Of connecting and disconnecting the last word counts.
#[derive(Debug, Default)]
struct Asked {
    connect: Option<bool>,
    reset_backoff: bool,
    stream: bool,
    scale: bool,
    /// The driver, if it waits.
    driver: Option<Waker>,
}

impl<H> State<H> {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        let told = Told {
            report: Report::new(endpoint, ConnectivityState::Idle),
            version: 1,
            waiters: Waiters::new(),
        };
        Self {
            connection: ArcSwapOption::empty(),
            pool: OnceLock::new(),
            told: Mutex::new(told),
            asked: Mutex::default(),
            streams: Mutex::new(None),
        }
    }

    pub(super) fn report(&self) -> Report {
        self.told.lock().report.clone()
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.told.lock().report.endpoint.clone()
    }

    pub(super) fn set_endpoint(&self, endpoint: Arc<Endpoint>) {
        self.change(|report| {
            let changed = report.endpoint != endpoint;
            report.endpoint = endpoint;
            changed
        });
    }

    /// Wakes the watchers if `change` says that there is something new.
    fn change(&self, change: impl FnOnce(&mut Report) -> bool) {
        let mut told = self.told.lock();
        if !change(&mut told.report) {
            return;
        }
        told.version += 1;
        let waited = told.waiters.take();
        drop(told);
        waited.wake();
    }

    /// Publishes a state; `error` replaces the last one unless it is `None`, and READY clears it.
    /// Nobody is told what has not changed.
    pub(super) fn publish(&self, state: ConnectivityState, error: Option<BoxError>) {
        self.change(|report| {
            let failing = match state {
                ConnectivityState::TransientFailure | ConnectivityState::Shutdown => true,
                ConnectivityState::Connecting => report.failing,
                ConnectivityState::Idle | ConnectivityState::Ready => false,
            };
            let changed = (report.state, report.failing) != (state, failing) || error.is_some();
            (report.state, report.failing) = (state, failing);
            report.connected = state == ConnectivityState::Ready;
            match error {
                Some(error) => report.error = Some(error.into()),
                None if state == ConnectivityState::Ready => report.error = None,
                None => {}
            }
            changed
        });
    }

    /// Shows a connection that lives, and over which no calls are to go, in `state`; as
    /// [`Self::publish`].
    pub(super) fn publish_unhealthy(&self, state: ConnectivityState, error: Option<BoxError>) {
        self.change(|report| {
            let changed = report.state != state || report.failing || error.is_some();
            (report.state, report.failing, report.connected) = (state, false, false);
            if let Some(error) = error {
                report.error = Some(error.into());
            }
            changed
        });
    }

    /// How the load is to be reported now.
    pub(super) fn load(&self) -> Option<LoadWatch> {
        self.streams.lock().as_ref()?.load.clone()
    }

    /// The driver is told if there is another interval; another reader it finds by itself.
    pub(super) fn stream_load(&self, wanted: Option<LoadWatch>) {
        let interval = |watch: &LoadWatch| watch.stream.interval;
        self.change_streams(|streams| {
            let present = wanted.as_ref().map(interval);
            let last = mem::replace(&mut streams.load, wanted);
            last.as_ref().map(interval) != present
        });
    }

    /// The service whose health counts now.
    pub(super) fn health(&self) -> Option<Arc<str>> {
        self.streams.lock().as_ref()?.health.clone()
    }

    /// The driver is told if it is another service.
    pub(super) fn check_health(&self, service: Option<&Arc<str>>) {
        self.change_streams(|streams| {
            let changed = streams.health.as_ref() != service;
            streams.health = service.cloned();
            changed
        });
    }

    /// Tells the driver if `change` says that there is something new.
    fn change_streams(&self, change: impl FnOnce(&mut Streams) -> bool) {
        let mut streams = self.streams.lock();
        let mut present = streams.take().unwrap_or_default();
        let changed = change(&mut present);
        if present.load.is_some() || present.health.is_some() {
            *streams = Some(present);
        }
        drop(streams);
        if changed {
            self.ask(Ask::Stream);
        }
    }

    /// There may be so many connections, which is at least 1.
    pub(super) fn scale(&self, most: usize) {
        let pool = match self.pool.get() {
            Some(pool) => pool,
            None if most > 1 => self.pool.get_or_init(|| Arc::new(Pool::new(1))),
            None => return,
        };
        if pool.set_most(most) {
            self.ask(Ask::Scale);
        }
    }

    /// No more calls go over any connection.
    pub(super) fn close(&self) {
        self.connection.store(None);
        if let Some(pool) = self.pool.get() {
            pool.close();
        }
    }

    pub(super) fn ask(&self, ask: Ask) {
        let mut asked = self.asked.lock();
        match ask {
            Ask::Connect => asked.connect = Some(true),
            Ask::Disconnect => asked.connect = Some(false),
            Ask::ResetBackoff => asked.reset_backoff = true,
            Ask::Stream => asked.stream = true,
            Ask::Scale => asked.scale = true,
        }
        let driver = asked.driver.take();
        drop(asked);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The next thing asked, for the one driver. Cancel safe: what was not returned is returned
    /// later.
    pub(super) fn asked(&self) -> impl Future<Output = Ask> {
        poll_fn(|cx| {
            let mut asked = self.asked.lock();
            if let Some(ask) = asked.take() {
                return Poll::Ready(ask);
            }
            match &mut asked.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                None => asked.driver = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
    }
}

impl Asked {
    fn take(&mut self) -> Option<Ask> {
        if mem::take(&mut self.reset_backoff) {
            return Some(Ask::ResetBackoff);
        }
        if mem::take(&mut self.stream) {
            return Some(Ask::Stream);
        }
        if mem::take(&mut self.scale) {
            return Some(Ask::Scale);
        }
        let connect = self.connect.take()?;
        Some(if connect {
            Ask::Connect
        } else {
            Ask::Disconnect
        })
    }
}

/// The sequence of reports one watcher sees: always the newest, none twice.
pub(super) struct Reports<H> {
    state: Arc<State<H>>,
    waiter: Waiter,
    seen: u64,
}

impl<H> Reports<H> {
    pub(super) fn new(state: Arc<State<H>>) -> Self {
        let waiter = state.told.lock().waiters.enter();
        Self {
            state,
            waiter,
            seen: 0,
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        let mut told = self.state.told.lock();
        if self.seen != told.version {
            self.seen = told.version;
            return Poll::Ready(told.report.clone());
        }
        told.waiters.wait(&self.waiter, cx);
        Poll::Pending
    }
}

impl<H> Drop for Reports<H> {
    fn drop(&mut self) {
        self.state.told.lock().waiters.leave(&self.waiter);
    }
}

impl<H> fmt::Debug for Reports<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reports")
    }
}
