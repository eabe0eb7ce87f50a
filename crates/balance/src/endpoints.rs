//! The endpoints of one channel, as its driver keeps them.

mod known;
mod next_report;

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use evenkeel_core::{
    Connectivity, ConnectivityState, Endpoint, EndpointId, EndpointStats, EndpointView, LoadStream,
    Report,
};
use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, ready};
use parking_lot::Mutex;

use self::known::Known;
use self::next_report::NextReport;
use crate::demand::Demand;
use crate::snapshot::{Owner, Slot, Slots};

/// All endpoints in the order of discovery, their states, and the view a policy gets of them.
///
/// A change is O(1): what is O(n) waits for [`Self::present`], and is done once for all changes
/// since the last one.
pub(crate) struct Endpoints<K, S: Connectivity> {
    /// Told of attempts that fail.
    demand: Arc<Demand>,
    /// In the order of discovery; `None` where one was removed since the last [`Self::present`].
    known: Vec<Option<Known<S>>>,
    /// The places in `known`.
    keys: HashMap<K, usize>,
    places: HashMap<EndpointId, usize>,
    watches: FuturesUnordered<Abortable<NextReport<S>>>,
    next_id: u64,
    owner: Weak<Owner<S>>,
    /// Those that take new calls; their places are the policy's indices.
    views: Vec<EndpointView>,
    slots: Slots<S>,
    /// All of them.
    directory: Slots<S>,
    /// Endpoints came or went, or whether one takes new calls has changed: views, slots and
    /// directory must be made again.
    stale: bool,
    /// How each of them is to report its load out of band.
    load_stream: Option<LoadStream>,
    /// The service whose health each of them is asked for.
    health_service: Option<Arc<str>>,
    /// How many connections each of them may have.
    max_connections: u32,
}

impl<K, S> Endpoints<K, S>
where
    K: Hash + Eq,
    S: Connectivity + Clone + Unpin,
{
    pub(crate) fn new(demand: Arc<Demand>, owner: Weak<Owner<S>>) -> Self {
        Self {
            demand,
            known: Vec::new(),
            keys: HashMap::new(),
            places: HashMap::new(),
            watches: FuturesUnordered::new(),
            next_id: 0,
            owner,
            views: Vec::new(),
            slots: Arc::new([]),
            directory: Arc::new([]),
            stale: false,
            load_stream: None,
            health_service: None,
            max_connections: 1,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
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
        let watch = self.watch(id, watcher);
        let known = Known {
            watch,
            takes_calls: takes_calls(&report.endpoint),
            shown: None,
            slot: Arc::new(Slot {
                id,
                service,
                stats: Arc::<EndpointStats>::default(),
                demand: self.demand.clone(),
                is_gone: AtomicBool::new(false),
                report: Mutex::new(report),
                owner: self.owner.clone(),
            }),
        };
        if self.load_stream.is_some() {
            known.stream_load(self.load_stream.as_ref());
        }
        if self.health_service.is_some() {
            known.check_health(self.health_service.as_ref());
        }
        if self.max_connections > 1 {
            known.slot.service.allow_connections(self.max_connections);
        }
        let place = *self.keys.entry(key).or_insert(self.known.len());
        self.places.insert(id, place);
        if place == self.known.len() {
            self.known.push(Some(known));
        } else if let Some(replaced) = self.known[place].replace(known) {
            self.forget(&replaced);
        }
        self.stale = true;
    }

    /// Removes an endpoint; its running calls go on. Unknown keys are ignored.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(place) = self.keys.remove(key)
            && let Some(removed) = self.known[place].take()
        {
            self.forget(&removed);
            self.stale = true;
        }
    }

    /// Its connection closes when its calls have ended. That must not wait for its last clone: a
    /// handle of the channel that nobody calls remembers the snapshot of its last call.
    fn forget(&mut self, gone: &Known<S>) {
        self.places.remove(&gone.slot.id);
        gone.slot.retire();
    }

    /// Has all of them, and those that will come, report their load like this.
    pub(crate) fn stream_load(&mut self, wanted: Option<LoadStream>) {
        if self.load_stream != wanted {
            self.load_stream = wanted;
            for known in self.known.iter().flatten() {
                known.stream_load(self.load_stream.as_ref());
            }
        }
    }

    /// Has all of them, and those that will come, asked for the health of this service.
    pub(crate) fn check_health(&mut self, service: Option<&Arc<str>>) {
        if self.health_service.as_ref() != service {
            self.health_service = service.cloned();
            for known in self.known.iter().flatten() {
                known.check_health(service);
            }
        }
    }

    /// Lets each of them, and of those that will come, have so many connections.
    pub(crate) fn allow_connections(&mut self, most: u32) {
        if self.max_connections != most {
            self.max_connections = most;
            for known in self.known.iter().flatten() {
                known.slot.service.allow_connections(most);
            }
        }
    }

    fn watch(&self, id: EndpointId, service: S) -> AbortHandle {
        let (watch, registration) = AbortHandle::new_pair();
        let next = NextReport::new(id, service);
        self.watches.push(Abortable::new(next, registration));
        watch
    }

    /// Takes in one report; `Pending` when there is none now.
    pub(crate) fn poll_reports(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (id, service, report) = match ready!(Pin::new(&mut self.watches).poll_next(cx)) {
                None => return Poll::Pending,
                Some(Err(Aborted)) => continue,
                Some(Ok(next)) => next,
            };
            let Some(place) = self.places.get(&id).copied() else {
                continue;
            };
            let report = match report {
                Some(report) => {
                    let watch = self.watch(id, service);
                    self.known_at(place).watch = watch;
                    report
                }
                None => {
                    let mut last = self.known_at(place).slot.report.lock().clone();
                    last.state = ConnectivityState::Shutdown;
                    last
                }
            };
            self.take_report(place, report);
            return Poll::Ready(());
        }
    }

    fn known_at(&mut self, place: usize) -> &mut Known<S> {
        self.known[place]
            .as_mut()
            .expect("each id's place is known")
    }

    fn take_report(&mut self, place: usize, report: Report) {
        let known = self.known_at(place);
        let takes_calls = takes_calls(&report.endpoint);
        let toggled = std::mem::replace(&mut known.takes_calls, takes_calls) != takes_calls;
        let shown = known.shown;
        let view = shown.map(|_| view(&known.slot, &report));
        *known.slot.report.lock() = report;
        if let (Some(shown), Some(view)) = (shown, view) {
            self.views[shown] = view;
        }
        self.stale |= toggled;
    }

    /// The view a policy gets, and the slots at the same places.
    pub(crate) fn present(&mut self) -> (&[EndpointView], Slots<S>) {
        if std::mem::take(&mut self.stale) {
            self.close_gaps();
            self.show();
        }
        (&self.views, self.slots.clone())
    }

    /// Every endpoint as of the last [`Self::present`], also those that take no new calls.
    pub(crate) fn directory(&self) -> Slots<S> {
        self.directory.clone()
    }

    fn close_gaps(&mut self) {
        if self.known.len() == self.places.len() {
            return;
        }
        let mut kept = 0;
        let moved: Vec<usize> = self
            .known
            .iter()
            .map(|known| {
                let place = kept;
                kept += usize::from(known.is_some());
                place
            })
            .collect();
        for place in self.keys.values_mut().chain(self.places.values_mut()) {
            *place = moved[*place];
        }
        self.known.retain(Option::is_some);
    }

    /// Makes views, slots and directory again. Views are moved, not cloned, where there is one:
    /// what they point to is in as many other places of memory.
    fn show(&mut self) {
        let mut before: Vec<_> = self.views.drain(..).map(Some).collect();
        let mut slots = Vec::with_capacity(self.known.len());
        for known in self.known.iter_mut().flatten() {
            let shown = known.shown.take();
            if known.takes_calls {
                let kept = shown.and_then(|shown| before[shown].take());
                known.shown = Some(self.views.len());
                let made = || view(&known.slot, &known.slot.report.lock());
                self.views.push(kept.unwrap_or_else(made));
                slots.push(known.slot.clone());
            }
        }
        self.slots = slots.into();
        self.directory = if self.slots.len() == self.known.len() {
            self.slots.clone()
        } else {
            let all = self.known.iter().flatten();
            all.map(|known| known.slot.clone()).collect()
        };
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
    view.connected = report.connected;
    view.held_back = report.held_back;
    view
}

#[cfg(test)]
mod tests;
