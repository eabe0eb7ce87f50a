//! The endpoints of one channel, as its driver keeps them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{
    Connectivity, ConnectivityState, Endpoint, EndpointId, EndpointStats, EndpointView, Report,
};
use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, ready};
use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::snapshot::{Slot, Slots};

/// All endpoints in the order of discovery, their states, and the view a policy gets of them.
pub(crate) struct Endpoints<K, S> {
    known: IndexMap<K, Known<S>>,
    keys: HashMap<EndpointId, K>,
    watches: FuturesUnordered<Abortable<NextReport<S>>>,
    next_id: u64,
    /// Those that take new calls; their places are the policy's indices.
    views: Vec<EndpointView>,
    places: HashMap<EndpointId, usize>,
    slots: Slots<S>,
    /// Which endpoints take new calls has changed: views and slots must be made again.
    stale: bool,
}

struct Known<S> {
    slot: Arc<Slot<S>>,
    watch: AbortHandle,
}

impl<S> Drop for Known<S> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl<K, S> Endpoints<K, S>
where
    K: Hash + Eq + Clone,
    S: Connectivity + Clone + Unpin,
{
    pub(crate) fn new() -> Self {
        Self {
            known: IndexMap::new(),
            keys: HashMap::new(),
            watches: FuturesUnordered::new(),
            next_id: 0,
            views: Vec::new(),
            places: HashMap::new(),
            slots: Arc::new([]),
            stale: false,
        }
    }

    /// Adds an endpoint, or replaces the one with the same key.
    pub(crate) fn insert(&mut self, key: K, service: S, cx: &mut Context<'_>) {
        let mut watcher = service.clone();
        // The present report comes first, at once: not even tokio's budget may delay it.
        let first = tokio::task::unconstrained(poll_fn(|cx| watcher.poll_report(cx)));
        let Poll::Ready(Some(report)) = pin!(first).poll(cx) else {
            tracing::error!("an endpoint was ignored: the layers around it give no first report");
            return self.remove(&key);
        };
        let id = EndpointId(self.next_id);
        self.next_id += 1;
        let (watch, registration) = AbortHandle::new_pair();
        let next = NextReport {
            id,
            service: Some(watcher),
        };
        self.watches.push(Abortable::new(next, registration));
        let stats = Arc::<EndpointStats>::default();
        let slot = Arc::new(Slot {
            id,
            service,
            stats,
            report: Mutex::new(report),
        });
        let replaced = self.known.insert(key.clone(), Known { slot, watch });
        if let Some(replaced) = replaced {
            self.forget(&replaced);
        }
        self.keys.insert(id, key);
        self.stale = true;
    }

    /// Removes an endpoint; its running calls go on. Unknown keys are ignored.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(removed) = self.known.shift_remove(key) {
            self.forget(&removed);
            self.stale = true;
        }
    }

    /// Its connection closes when its calls have ended. That must not wait for its last clone: a
    /// handle of the channel that nobody calls remembers the snapshot of its last call.
    fn forget(&mut self, gone: &Known<S>) {
        self.keys.remove(&gone.slot.id);
        gone.slot.service.disconnect();
    }

    /// Takes in one report; `Pending` when there is none now.
    pub(crate) fn poll_reports(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(Pin::new(&mut self.watches).poll_next(cx)) {
                None => return Poll::Pending,
                Some(Err(Aborted)) => {}
                Some(Ok((id, _, None))) => {
                    let Some(key) = self.keys.get(&id) else {
                        continue;
                    };
                    let mut report = self.known[key].slot.report.lock().clone();
                    report.state = ConnectivityState::Shutdown;
                    self.take_report(id, report);
                    return Poll::Ready(());
                }
                Some(Ok((id, service, Some(report)))) => {
                    let Some(key) = self.keys.get(&id) else {
                        continue;
                    };
                    let known = self.known.get_mut(key).expect("each id's key is known");
                    let (watch, registration) = AbortHandle::new_pair();
                    known.watch = watch;
                    let next = NextReport {
                        id,
                        service: Some(service),
                    };
                    self.watches.push(Abortable::new(next, registration));
                    self.take_report(id, report);
                    return Poll::Ready(());
                }
            }
        }
    }

    fn take_report(&mut self, id: EndpointId, report: Report) {
        let known = &mut self.known[&self.keys[&id]];
        let before = {
            let mut shown = known.slot.report.lock();
            std::mem::replace(&mut *shown, report.clone())
        };
        if takes_calls(&before.endpoint) != takes_calls(&report.endpoint) {
            self.stale = true;
        } else if let Some(place) = self.places.get(&id) {
            self.views[*place] = view(&known.slot, &report);
        }
    }

    /// The view a policy gets, and the slots at the same places.
    pub(crate) fn present(&mut self) -> (&[EndpointView], Slots<S>) {
        if self.stale {
            self.stale = false;
            self.views.clear();
            self.places.clear();
            let mut slots = Vec::with_capacity(self.known.len());
            for known in self.known.values() {
                let report = known.slot.report.lock();
                if takes_calls(&report.endpoint) {
                    self.places.insert(known.slot.id, self.views.len());
                    self.views.push(view(&known.slot, &report));
                    slots.push(known.slot.clone());
                }
            }
            self.slots = slots.into();
        }
        (&self.views, self.slots.clone())
    }

    /// Every endpoint, also those that take no new calls.
    pub(crate) fn directory(&self) -> Vec<Arc<Slot<S>>> {
        self.known
            .values()
            .map(|known| known.slot.clone())
            .collect()
    }
}

fn takes_calls(endpoint: &Endpoint) -> bool {
    endpoint.metadata().accepts_calls()
}

fn view<S>(slot: &Slot<S>, report: &Report) -> EndpointView {
    let state = match report.state {
        ConnectivityState::Connecting if report.failing => ConnectivityState::TransientFailure,
        state => state,
    };
    let mut view = EndpointView::new(slot.id, report.endpoint.clone(), state);
    view.stats = slot.stats.clone();
    view.error = report.error.clone();
    view
}

/// Waits for the next report of one endpoint.
struct NextReport<S> {
    id: EndpointId,
    service: Option<S>,
}

impl<S: Connectivity + Unpin> Future for NextReport<S> {
    type Output = (EndpointId, S, Option<Report>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let service = self.service.as_mut().expect("polled after it was ready");
        let report = ready!(service.poll_report(cx));
        let service = self.service.take().expect("it was there a moment ago");
        Poll::Ready((self.id, service, report))
    }
}
