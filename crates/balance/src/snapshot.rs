//! What the driver publishes and every call reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use evenkeel_core::error::{ChannelClosed, NoEndpoint, NotReady};
use evenkeel_core::observe::Ticket;
use evenkeel_core::{
    ConnectivityState, Endpoint, EndpointId, EndpointStats, Outcome, Pick, PickArgs, Picked,
    Picker, Report,
};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Code;

use crate::published::Published;

/// One decision of the policy, with the services it is about.
pub(crate) struct Snapshot<S> {
    /// Grows by one with each snapshot.
    pub(crate) version: u64,
    pub(crate) state: ConnectivityState,
    pub(crate) picker: Arc<dyn Picker>,
    /// Indexed as the picker does.
    pub(crate) slots: Slots<S>,
}

/// The endpoints a picker picks from.
pub(crate) type Slots<S> = Arc<[Arc<Slot<S>>]>;

/// One endpoint.
pub(crate) struct Slot<S> {
    pub(crate) id: EndpointId,
    pub(crate) service: S,
    pub(crate) stats: Arc<EndpointStats>,
    /// The last word about it; written by the driver, read by observers and for error texts.
    pub(crate) report: Mutex<Report>,
}

impl<S> Slot<S> {
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        self.report.lock().endpoint.clone()
    }

    pub(crate) fn picked(&self) -> Picked {
        Picked::new(self.id, self.endpoint())
    }
}

/// An attempt that was sent to a slot's endpoint.
pub struct EndpointTicket<S> {
    pub(crate) slot: Arc<Slot<S>>,
    /// When its call must have ended.
    deadline: Option<Instant>,
}

impl<S> EndpointTicket<S> {
    pub(crate) fn begin(slot: Arc<Slot<S>>, deadline: Option<Instant>) -> Self {
        slot.stats.begin();
        Self { slot, deadline }
    }
}

impl<S> Ticket for EndpointTicket<S> {
    fn settle(self, outcome: Outcome) {
        let outcome = match (outcome, self.deadline) {
            // Not given up by the caller: the endpoint was too slow.
            (Outcome::Abandoned, Some(at)) if tokio::time::Instant::now().into_std() >= at => {
                Outcome::Failure(Code::DeadlineExceeded)
            }
            _ => outcome,
        };
        self.slot.stats.end(outcome);
    }
}

impl<S> fmt::Debug for EndpointTicket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointTicket")
            .field(&self.slot.id)
            .finish()
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
    pub(crate) directory: ArcSwap<Vec<Arc<Slot<S>>>>,
    /// What discovery said last, if it failed.
    pub(crate) discovery: Mutex<Option<String>>,
    call_waiting: AtomicBool,
    pub(crate) demand: AtomicWaker,
}

impl<S> Shared<S> {
    pub(crate) fn new() -> Self {
        let snapshot = Snapshot {
            version: 0,
            state: ConnectivityState::Connecting,
            picker: Arc::new(Always(Pick::Queue)),
            slots: Arc::new([]),
        };
        Self {
            snapshot: Published::new(snapshot),
            version: watch::Sender::new(0),
            state: watch::Sender::new(ConnectivityState::Connecting),
            directory: ArcSwap::default(),
            discovery: Mutex::new(None),
            call_waiting: AtomicBool::new(false),
            demand: AtomicWaker::new(),
        }
    }

    pub(crate) fn publish(
        &self,
        state: ConnectivityState,
        picker: Arc<dyn Picker>,
        slots: Slots<S>,
    ) -> u64 {
        let version = self.snapshot.load_full().version + 1;
        self.snapshot.publish(Snapshot {
            version,
            state,
            picker,
            slots,
        });
        self.version.send_replace(version);
        self.state
            .send_if_modified(|shown| std::mem::replace(shown, state) != state);
        version
    }

    /// The driver has ended: every call fails from now on.
    pub(crate) fn close(&self, reason: &str) {
        let pick = Pick::Drop(ChannelClosed::new(reason).into());
        self.publish(
            ConnectivityState::Shutdown,
            Arc::new(Always(pick)),
            Arc::new([]),
        );
        self.directory.store(Arc::default());
    }

    /// A call wants a connection while the channel is IDLE.
    pub(crate) fn ask_for_connection(&self) {
        if !self.call_waiting.swap(true, Ordering::AcqRel) {
            self.demand.wake();
        }
    }

    pub(crate) fn is_call_waiting(&self) -> bool {
        self.call_waiting.load(Ordering::Acquire)
    }

    pub(crate) fn take_call_waiting(&self) -> bool {
        self.call_waiting.swap(false, Ordering::AcqRel)
    }

    /// What a call that waits is waiting for, as an error would put it.
    pub(crate) fn describe(&self) -> NoEndpoint {
        let slots = self.directory.load();
        let endpoints = slots.iter().map(|slot| {
            let report = slot.report.lock();
            let error = report
                .error
                .as_ref()
                .map(|error| evenkeel_core::error::chain(&**error));
            NotReady::new(report.endpoint.clone(), report.state, error)
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

/// Owns the driver: when the last clone of the balancer is dropped, the driver is aborted.
pub(crate) struct Owner<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) _driver: JoinSet<()>,
}
