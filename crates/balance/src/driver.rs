//! The one task of a channel: drains discovery and reports, runs the policy, publishes snapshots.

mod pace;
mod retired;
mod steering;

use std::error::Error;
use std::future::poll_fn;
use std::hash::Hash;
use std::mem::take;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use evenkeel_core::error::{DiscoveryRecovered, chain};
use evenkeel_core::{Admit, BoxError, Connectivity, Discovery, View};
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};
use tower::discover::{Change, Discover};
use tracing::{debug, warn};

use self::pace::Pace;
use self::retired::Retired;
pub(crate) use self::steering::Steering;
use crate::endpoints::Endpoints;
use crate::snapshot::{Owner, Shared, Snapshot};

/// Runs until it is aborted; if it ends otherwise, the channel is shut down.
pub(crate) async fn drive<D>(
    discover: D,
    steering: Steering,
    shared: Arc<Shared<D::Service>>,
    owner: Weak<Owner<D::Service>>,
) where
    D: Discover + Unpin,
    D::Key: Hash + Eq + Clone,
    D::Service: Connectivity + Clone + Unpin,
    D::Error: Into<BoxError>,
{
    let mut driver = Driver {
        discover: Some(discover),
        asked: Waker::from(shared.demand.clone()),
        endpoints: Endpoints::new(shared.demand.clone(), owner),
        discovery: Discovered::Nothing,
        steering,
        shared: CloseOnDrop(shared),
        retired: Retired::new(),
        changes: 0,
        wake_at: None,
        last_resort_told: None,
        asks: Pace::new(ASKED_APART),
        failure_due: None,
        errors: 0,
        pause: None,
    };
    loop {
        poll_fn(|cx| driver.poll_changes(cx)).await;
        driver.decide();
        // Others get their turn, however much there is to take in.
        yield_now().await;
    }
}

struct Driver<D: Discover>
where
    D::Service: Connectivity,
{
    /// `None` after it has ended: its last endpoints stay.
    discover: Option<D>,
    endpoints: Endpoints<D::Key, D::Service>,
    discovery: Discovered,
    steering: Steering,
    shared: CloseOnDrop<D::Service>,
    retired: Retired<Snapshot<D::Service>>,
    /// For pickers that want the policy to be asked again.
    asked: Waker,
    /// Taken in since the policy was asked last.
    changes: usize,
    wake_at: Option<Pin<Box<Sleep>>>,
    /// When the log was last told of calls to endpoints that are held back.
    last_resort_told: Option<Instant>,
    /// When it may be asked again because calls or pickers want it.
    asks: Pace,
    /// Set while an attempt has failed that the policy has not been asked about.
    failure_due: Option<Pin<Box<Sleep>>>,
    /// Errors of discovery in a row.
    errors: u32,
    /// Discovery is left alone until then, because it does nothing but fail.
    pause: Option<Pin<Box<Sleep>>>,
}

/// How soon the policy is asked again at its own wish or a picker's, or for another call that waits.
const ASKED_APART: Duration = Duration::from_millis(1);

/// How long the policy is not asked about a failure, so that it hears of many at once.
const FAILURES_TOGETHER: Duration = Duration::from_millis(10);

/// Items of discovery taken in before others get their turn, however many there are.
const BURST: usize = 256;

/// Whether there may be more to take in at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// All there is.
    Dry,
    /// Others get their turn first.
    Paused,
}

/// How long discovery is left alone after its second error in a row; doubled with each further.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What discovery said last.
enum Discovered {
    /// Nothing yet: the channel is CONNECTING.
    Nothing,
    Endpoints,
    Failed(Box<dyn Error + Send + Sync>),
}

impl<D> Driver<D>
where
    D: Discover + Unpin,
    D::Key: Hash + Eq + Clone,
    D::Service: Connectivity + Clone + Unpin,
    D::Error: Into<BoxError>,
{
    /// Ready when there is something new for the policy. Everything that has come by then is
    /// taken in, so that a burst of changes makes one snapshot; but of a stream that never ends
    /// half as many as there are endpoints, so that each costs O(1) and none is held up for ever.
    fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut drained = self.drain_discovery(cx);
        while self.endpoints.poll_reports(cx).is_ready() {
            self.changes += 1;
        }
        if !has_budget_remaining() {
            // What said that it has nothing may only have had no budget left, and is polled again
            // when tokio has woken it: this task is woken after that.
            let mut after_it = pin!(yield_now());
            if after_it.as_mut().poll(cx).is_pending() {
                drained = Drained::Paused;
            }
        }
        let mut due = false;
        if let Some(wake_at) = &mut self.wake_at
            && wake_at.as_mut().poll(cx).is_ready()
        {
            self.wake_at = None;
            due = true;
        }
        due |= self.steering.poll_changed(cx).is_ready();
        self.retired.poll(cx);
        // Registered before it looks, so that no call is missed.
        let demand = &self.shared.0.demand;
        demand.register(cx.waker());
        if demand.is_asked() {
            due |= self.asks.poll(cx).is_ready();
        }
        if self.failure_due.is_none() && demand.has_failure() {
            self.failure_due = Some(Box::pin(sleep(FAILURES_TOGETHER)));
        }
        if let Some(failure_due) = &mut self.failure_due
            && failure_due.as_mut().poll(cx).is_ready()
        {
            due = true;
        }
        due |= match drained {
            Drained::Dry => self.changes > 0,
            Drained::Paused => self.changes >= BURST.max(self.endpoints.len() / 2),
        };
        if due && !matches!(self.discovery, Discovered::Nothing) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn drain_discovery(&mut self, cx: &mut Context<'_>) -> Drained {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return Drained::Dry;
            }
            self.pause = None;
        }
        for _ in 0..BURST {
            let Some(discover) = &mut self.discover else {
                return Drained::Dry;
            };
            let Poll::Ready(item) = Pin::new(discover).poll_discover(cx) else {
                return Drained::Dry;
            };
            self.changes += 1;
            match item {
                Some(Ok(change)) => {
                    self.errors = 0;
                    match change {
                        Change::Insert(key, service) => self.endpoints.insert(key, service, cx),
                        Change::Remove(key) => self.endpoints.remove(&key),
                    }
                    self.set_discovered(Discovered::Endpoints);
                }
                Some(Err(error)) => {
                    if self.discovery_failed(error.into(), cx).is_break() {
                        return Drained::Dry;
                    }
                }
                None => {
                    debug!("discovery has ended; known endpoints stay");
                    self.discover = None;
                    if matches!(self.discovery, Discovered::Nothing) {
                        let error = "it ended without an endpoint";
                        self.set_discovered(Discovered::Failed(error.into()));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Drained::Paused
    }

    /// Notes an error of discovery; a break when it fails over and over.
    fn discovery_failed(&mut self, error: BoxError, cx: &mut Context<'_>) -> ControlFlow<()> {
        if error.is::<DiscoveryRecovered>() {
            self.errors = 0;
            self.set_discovered(Discovered::Endpoints);
            return ControlFlow::Continue(());
        }
        match self.errors {
            0 => warn!(error = %chain(&*error), "discovery failed; known endpoints stay"),
            _ => debug!(error = %chain(&*error), "discovery still fails"),
        }
        self.set_discovered(Discovered::Failed(error));
        self.errors = self.errors.saturating_add(1);
        let Some(doublings) = self.errors.checked_sub(2) else {
            return ControlFlow::Continue(());
        };
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings.min(10))
            .min(LONGEST_PAUSE);
        let mut pause = Box::pin(sleep(pause));
        if pause.as_mut().poll(cx).is_pending() {
            self.pause = Some(pause);
        }
        ControlFlow::Break(())
    }

    fn set_discovered(&mut self, discovered: Discovered) {
        *self.shared.0.discovery.lock() = match &discovered {
            Discovered::Failed(error) => Some(chain(&**error)),
            _ => None,
        };
        self.discovery = discovered;
    }

    /// A fleet in trouble goes to and fro with each breaker that probes: once a minute will do.
    fn may_tell_last_resort(&mut self, now: Instant) -> bool {
        let is_news = self
            .last_resort_told
            .is_none_or(|told| now.saturating_duration_since(told) >= Duration::from_secs(60));
        if is_news {
            self.last_resort_told = Some(now);
        }
        is_news
    }

    /// Asks the policy and carries out what it says.
    fn decide(&mut self) {
        self.changes = 0;
        self.failure_due = None;
        let shared = &self.shared.0;
        let (call_waiting, picker_asks) = shared.demand.take();
        if call_waiting || picker_asks {
            self.asks.happened();
        }
        let (endpoints, slots) = self.endpoints.present();
        let mut view = View::new(endpoints, fastrand::u64(..))
            .with_waker(&self.asked)
            .with_call_waiting(call_waiting);
        if let Discovered::Failed(error) = &self.discovery {
            view = view.with_discovery(Discovery::Failed(&**error));
        }
        let now: Instant = tokio::time::Instant::now().into_std();
        let mut decision = self.steering.update(now, &view);
        let (connect, disconnect) = (take(&mut decision.connect), take(&mut decision.disconnect));
        let ejected = take(&mut decision.ejected);
        let load_stream = decision.observe.load_stream.take();
        let heeds_health = decision.observe.health;
        let (state, wake_at, last_resort) =
            (decision.state, decision.wake_at, decision.last_resort);
        let directory = self.endpoints.directory();
        if !Arc::ptr_eq(&**shared.directory.load(), &directory) {
            shared.directory.store(Arc::new(directory));
        }
        // First the snapshot, then the connections: what they report comes after it.
        shared.set_ejected(ejected, &slots);
        let last = shared.publish(decision, slots.clone());
        debug!(%state, version = last.version + 1, endpoints = slots.len(), "new picker");
        if last_resort && last.admit == Admit::Normally && self.may_tell_last_resort(now) {
            warn!("endpoints that are held back get calls: there are too few others");
        }
        self.retired.push(last);
        self.endpoints.stream_load(load_stream);
        let health_service = self.steering.health_service();
        self.endpoints
            .check_health(health_service.filter(|_| heeds_health));
        let max_connections = self.steering.max_connections();
        self.endpoints.allow_connections(max_connections);
        for index in connect {
            if let Some(slot) = slots.get(index.0) {
                slot.service.connect();
            }
        }
        for index in disconnect {
            if let Some(slot) = slots.get(index.0) {
                slot.service.disconnect();
            }
        }
        let soonest = now + ASKED_APART;
        self.wake_at = wake_at.map(|at| Box::pin(tokio::time::sleep_until(at.max(soonest).into())));
    }
}

/// Leaves a channel whose driver is gone, aborted or panicked, in SHUTDOWN: no call waits for
/// a snapshot that cannot come.
struct CloseOnDrop<S>(Arc<Shared<S>>);

impl<S> Drop for CloseOnDrop<S> {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            "its load balancing policy or discovery panicked"
        } else {
            "its last handle was dropped"
        };
        self.0.close(reason);
    }
}

#[cfg(test)]
mod tests;
