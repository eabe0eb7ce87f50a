//! What the driver publishes and every call reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use evenkeel_core::error::{ChannelClosed, NoEndpoint, NotReady};
use evenkeel_core::{
    Admit, Connectivity, ConnectivityState, Endpoint, EndpointId, EndpointIndex, EndpointStats,
    Pick, PickArgs, Picked, Picker, Report, Update,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::demand::Demand;
use crate::published::Published;

/// One decision of the policy, with the services it is about.
pub(crate) struct Snapshot<S> {
    /// Grows by one with each snapshot.
    pub(crate) version: u64,
    pub(crate) state: ConnectivityState,
    pub(crate) picker: Arc<dyn Picker>,
    /// Indexed as the picker does.
    pub(crate) slots: Slots<S>,
    /// How attempts are wanted at the endpoints that are picked.
    pub(crate) admit: Admit,
}

/// Why an endpoint was ejected.
pub(crate) type Reason = Arc<dyn std::error::Error + Send + Sync>;

/// The endpoints a picker picks from.
pub(crate) type Slots<S> = Arc<[Arc<Slot<S>>]>;

/// One endpoint.
pub(crate) struct Slot<S> {
    pub(crate) id: EndpointId,
    pub(crate) service: S,
    pub(crate) stats: Arc<EndpointStats>,
    pub(crate) demand: Arc<Demand>,
    /// It was removed: nobody connects it any more.
    pub(crate) is_gone: AtomicBool,
    /// The last word about it; written by the driver, read by observers and for error texts.
    pub(crate) report: Mutex<Report>,
    /// The channel it is of, for a request that comes back.
    pub(crate) owner: Weak<Owner<S>>,
}

impl<S: Connectivity> Slot<S> {
    /// Has it leave IDLE, for a call that wants it: one that picks from an old snapshot may want
    /// what is gone.
    #[cold]
    pub(crate) fn connect(&self) {
        if !self.is_gone.load(Ordering::Acquire) {
            self.service.connect();
            // Of connecting and disconnecting the last word counts.
            if self.is_gone.load(Ordering::Acquire) {
                self.service.disconnect();
            }
        }
    }

    /// It was removed.
    pub(crate) fn retire(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.service.disconnect();
    }
}

impl<S> Slot<S> {
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        self.report.lock().endpoint.clone()
    }

    pub(crate) fn picked(&self) -> Picked {
        Picked::new(self.id, self.endpoint())
    }
}

/// What all clones of a balancer and its driver share. The driver does not own it alone: it ends
/// when the last clone is gone.
pub(crate) struct Shared<S> {
    pub(crate) snapshot: Published<Snapshot<S>>,
    /// The version of the present snapshot; queued calls wait for the next.
    pub(crate) version: watch::Sender<u64>,
    pub(crate) state: watch::Sender<ConnectivityState>,
    /// All endpoints, also those that take no new calls.
    pub(crate) directory: ArcSwap<Slots<S>>,
    /// What discovery said last, if it failed.
    pub(crate) discovery: Mutex<Option<String>>,
    /// The endpoints that the policy sends no calls, though they are connected.
    ejected: Mutex<HashMap<EndpointId, Reason>>,
    pub(crate) demand: Arc<Demand>,
}

impl<S> Shared<S> {
    pub(crate) fn new() -> Self {
        let snapshot = Snapshot {
            version: 0,
            state: ConnectivityState::Connecting,
            picker: Arc::new(Always(Pick::Queue)),
            slots: Arc::new([]),
            admit: Admit::Normally,
        };
        Self {
            snapshot: Published::new(snapshot),
            version: watch::Sender::new(0),
            state: watch::Sender::new(ConnectivityState::Connecting),
            directory: ArcSwap::from_pointee(Slots::<S>::from([])),
            discovery: Mutex::new(None),
            ejected: Mutex::default(),
            demand: Arc::default(),
        }
    }

    /// Replaces the snapshot and returns the last one. A caller may have it still: whoever drops
    /// it last pays for taking apart a picker of all endpoints, which no call shall.
    pub(crate) fn publish(&self, decision: Update, slots: Slots<S>) -> Arc<Snapshot<S>> {
        let last = self.snapshot.load_full();
        let version = last.version + 1;
        let state = decision.state;
        self.demand.set_observe(decision.observe);
        self.snapshot.publish(Snapshot {
            version,
            state,
            picker: decision.picker,
            slots,
            admit: if decision.last_resort {
                Admit::LastResort
            } else {
                Admit::Normally
            },
        });
        self.state
            .send_if_modified(|shown| std::mem::replace(shown, state) != state);
        // Last: who waits for it sees all of the decision.
        self.version.send_replace(version);
        last
    }

    /// What the policy says of its ejections; tells of those that are new or over.
    pub(crate) fn set_ejected(&self, ejected: Vec<(EndpointIndex, Reason)>, slots: &Slots<S>) {
        if ejected.is_empty() && self.ejected.lock().is_empty() {
            return;
        }
        let slot = |index: EndpointIndex| slots.get(index.0);
        let ejected: HashMap<_, _> = ejected
            .into_iter()
            .filter_map(|(index, reason)| Some((slot(index)?.id, reason)))
            .collect();
        let before = std::mem::replace(&mut *self.ejected.lock(), ejected.clone());
        for slot in slots.iter() {
            match (before.get(&slot.id), ejected.get(&slot.id)) {
                (None, Some(reason)) => {
                    tracing::warn!(endpoint = %slot.endpoint(), %reason, "endpoint ejected");
                }
                (Some(_), None) => {
                    tracing::info!(endpoint = %slot.endpoint(), "endpoint no longer ejected");
                }
                _ => {}
            }
        }
    }

    /// Why the policy sends an endpoint no calls.
    pub(crate) fn ejected(&self, id: EndpointId) -> Option<Reason> {
        self.ejected.lock().get(&id).cloned()
    }

    /// The driver has ended: every call fails from now on.
    pub(crate) fn close(&self, reason: &str) {
        let pick = Pick::Drop(ChannelClosed::new(reason).into());
        let decision = Update::new(ConnectivityState::Shutdown, Arc::new(Always(pick)));
        self.publish(decision, Arc::new([]));
        self.directory.store(Arc::new(Slots::from([])));
    }

    /// What a call that waits is waiting for, as an error would put it.
    pub(crate) fn describe(&self) -> NoEndpoint {
        let slots = self.directory.load();
        let endpoints = slots.iter().map(|slot| {
            let report = slot.report.lock();
            let error = report.error.as_deref().map(|error| error as _);
            NotReady::because(report.endpoint.clone(), report.state, error)
        });
        NoEndpoint::new(endpoints.collect(), self.discovery.lock().clone())
    }
}

/// A picker that always gives the same answer.
#[derive(Debug)]
struct Always(Pick);

impl Picker for Always {
    fn pick(&self, _args: &PickArgs<'_>) -> Pick {
        self.0.clone()
    }
}

/// Owns the driver: when the last clone of the balancer is dropped, and the last call that waits
/// for an endpoint, the driver is aborted.
pub(crate) struct Owner<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) _driver: JoinSet<()>,
}
