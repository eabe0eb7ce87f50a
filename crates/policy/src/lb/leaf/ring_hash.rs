mod config;
mod hash_on;
mod key;
mod layout;
mod loads;
mod members;
mod next;
mod picker;
mod ring;
mod survey;
mod wishes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::error::{NoEndpoint, NotReady, chain};
use evenkeel_core::{
    ConnectivityState, Discovery, EndpointId, EndpointIndex, Policy, Update, View,
};

pub use self::config::RingHashConfig;
pub use self::hash_on::HashOn;
use self::layout::Layout;
use self::members::Members;
use self::next::Next;
use self::picker::{Bound, RingPicker, State};
use self::survey::{Survey, state};
use self::wishes::Wishes;
use crate::lb::FailPicker;

/// Sends calls with the same key to the same endpoint, and moves few keys when endpoints come or
/// go: gRPC's `ring_hash_experimental` (gRFCs A42, A61 and A76), and
/// `evenkeel.ring_hash`, which can bound each endpoint's load as well.
///
/// # The ring
///
/// Each endpoint has entries on a ring of 2⁶⁴ hashes (XXH64), as many as its weight is worth
/// ([`Metadata::weight`](evenkeel_core::Metadata::weight); unset counts as 1). Where they are is
/// made of its `hash_key` ([`Metadata::other`](evenkeel_core::Metadata::other)), or else of its
/// first address. A call goes to the endpoint of the first entry at or after the hash of its key.
/// Where several endpoints have the same `hash_key`, the one with the lowest address gets all of its calls
/// while it can take them, in every client.
///
/// # Connections
///
/// Endpoints are connected when a call needs them, not before.
///
/// | the call's endpoint is | the call |
/// |---|---|
/// | READY | goes there |
/// | IDLE | waits, and the endpoint is told to connect |
/// | CONNECTING | waits, though others be READY |
/// | in TRANSIENT_FAILURE | takes the next one on the ring; if all are, it fails with the error of the first |
///
/// A call without a key takes the first READY endpoint from a random place on. If there are IDLE
/// ones before it and none is CONNECTING, the first of those is told to connect for later calls.
///
/// A retry takes the next endpoints on the ring that its call has not tried, by the same rules, but waits for
/// none that is CONNECTING while one is READY: best one that was not tried.
///
/// | endpoints, first match | channel |
/// |---|---|
/// | some READY | READY |
/// | two or more in TRANSIENT_FAILURE | TRANSIENT_FAILURE |
/// | some CONNECTING | CONNECTING |
/// | one in TRANSIENT_FAILURE, and others | CONNECTING |
/// | some IDLE | IDLE |
/// | one in TRANSIENT_FAILURE, or none at all | TRANSIENT_FAILURE |
///
/// In CONNECTING and TRANSIENT_FAILURE some endpoint is always kept CONNECTING while there is an
/// IDLE one left. When all are in TRANSIENT_FAILURE and some of them
/// [held back](evenkeel_core::EndpointView::held_back), those take the calls, as the
/// [last resort](Update::last_resort).
///
/// A picker that sends a call to one endpoint and wants another one connected leaves that to the
/// policy, and has it asked again by [`View::waker`]; without one that takes until the next update.
///
/// # Bounded load
///
/// With a [`bounded_load_factor`](RingHashConfig::bounded_load_factor) an endpoint that has its
/// share of the calls in flight is passed over: the call takes the next READY one that has room. IDLE
/// ones that it passes are told to connect, one at a time. The number of all calls is counted
/// with a lag of about as many picks as there are endpoints; where 64 entries in a row have no
/// room, the least loaded of them takes the call.
#[derive(Debug)]
pub struct RingHash {
    config: RingHashConfig,
    members: Members,
    layout: Option<Arc<Layout>>,
    /// The picker that may have got wishes since.
    last: Option<Arc<RingPicker>>,
    /// Told to connect, and not seen to do so yet.
    asked: HashSet<EndpointId>,
}

impl RingHash {
    /// gRPC's name in a service config.
    pub const NAME: &'static str = "ring_hash_experimental";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["ring_hash"];
    /// Its name in a service config with the fields that gRPC's has not.
    pub const EXTENDED_NAME: &'static str = "evenkeel.ring_hash";
    /// The bound of both ring sizes.
    pub const MAX_RING_SIZE: u64 = 8_388_608;

    /// A policy that has seen no endpoint yet. What is out of bounds in `config` is brought within.
    #[must_use]
    pub fn new(config: RingHashConfig) -> Self {
        Self {
            config: config.within_bounds(),
            members: Members::default(),
            layout: None,
            last: None,
            asked: HashSet::new(),
        }
    }

    fn layout(&mut self, view: &View<'_>) -> Arc<Layout> {
        let changed = self.members.follow(view.endpoints);
        if let Some(layout) = &self.layout
            && !changed
            && layout.suits(&self.config)
        {
            return layout.clone();
        }
        let before = self.layout.as_deref();
        let layout = Layout::new(before, &mut self.members, view.endpoints, &self.config);
        self.layout.insert(Arc::new(layout)).clone()
    }

    /// Tells the endpoint at `place` to connect.
    fn connect(&mut self, view: &View<'_>, survey: &mut Survey, place: usize) {
        self.asked.insert(view.endpoints[place].id);
        survey.connect.push(EndpointIndex(place));
        survey.states[place] = State::Connecting;
    }

    fn survey(&mut self, view: &View<'_>) -> Survey {
        let mut survey = Survey {
            states: view.endpoints.iter().map(|one| state(one.state)).collect(),
            connect: Vec::new(),
            last_resort: false,
        };
        for id in self.last.take().iter().flat_map(|last| last.wishes()) {
            self.asked.insert(id);
        }
        if !self.asked.is_empty() {
            let asked = std::mem::take(&mut self.asked);
            for (place, one) in view.endpoints.iter().enumerate() {
                if survey.states[place] == State::Idle && asked.contains(&one.id) {
                    self.connect(view, &mut survey, place);
                }
            }
        }
        if survey.states.iter().all(|state| *state == State::Failing) {
            for (state, one) in survey.states.iter_mut().zip(view.endpoints) {
                if one.held_back {
                    *state = State::Ready;
                    survey.last_resort = true;
                }
            }
        }
        survey
    }
}

impl Policy for RingHash {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        if view.endpoints.is_empty() {
            *self = Self::new(self.config.clone());
            let picker = Arc::new(FailPicker::no_endpoint(view));
            return Update::new(ConnectivityState::TransientFailure, picker);
        }
        let mut survey = self.survey(view);
        let state = survey.aggregate();
        // A channel that waits for one endpoint, or for want of any, must come to the others though
        // no call asks for them (gRFC A61).
        let waits = matches!(
            state,
            ConnectivityState::Connecting | ConnectivityState::TransientFailure
        );
        if waits && survey.count(State::Connecting) == 0 {
            let idle = survey.states.iter().position(|state| *state == State::Idle);
            if let Some(place) = idle {
                self.connect(view, &mut survey, place);
            }
        }
        let layout = self.layout(view);
        let picker = Arc::new(self.picker(view, layout, &survey));
        self.last = Some(picker.clone());
        let mut update = Update::new(state, picker);
        update.connect = survey.connect;
        update.last_resort = survey.last_resort;
        update.observe.health = true;
        update
    }
}

impl RingHash {
    fn picker(&self, view: &View<'_>, layout: Arc<Layout>, survey: &Survey) -> RingPicker {
        let states: Box<[State]> = survey.states.as_slice().into();
        let usable = Next::new(&layout.ring, |place| states[place] != State::Failing);
        let bound = self.config.bounded_load_factor.map(|factor| {
            let weights = layout.weights.iter().zip(&states);
            let usable = weights.filter(|(_, state)| **state != State::Failing);
            Bound {
                factor,
                weight: usable.map(|(weight, _)| weight).sum(),
            }
        });
        RingPicker {
            hash_on: self.config.hash_on.clone(),
            bound,
            ready: Next::new(&layout.ring, |place| states[place] == State::Ready),
            connecting: states.contains(&State::Connecting),
            failures: matches!(usable, Next::Nowhere).then(|| Arc::new(failures(view))),
            usable,
            wishes: Wishes::new(states.len(), view.waker.cloned()),
            states,
            layout,
        }
    }
}

fn failures(view: &View<'_>) -> NoEndpoint {
    let endpoints = view.endpoints.iter().map(|one| {
        let error = one.error.as_deref().map(|error| error as _);
        NotReady::because(one.endpoint.clone(), one.state, error)
    });
    let discovery = match view.discovery {
        Discovery::Failed(error) => Some(chain(error)),
        Discovery::Resolved => None,
    };
    NoEndpoint::new(endpoints.collect(), discovery)
}

#[cfg(test)]
mod tests;
