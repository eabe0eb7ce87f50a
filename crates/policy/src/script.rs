//! A test kit for LB policies: endpoints in scripted states, shown to a policy without a network.
//!
//! ```
//! use evenkeel_core::ConnectivityState::{Idle, Ready, TransientFailure};
//! use evenkeel_policy::lb::RoundRobin;
//! use evenkeel_policy::script::Script;
//!
//! let mut script = Script::new(&[Ready, Idle, Ready]);
//! let mut policy = RoundRobin::new();
//! let update = script.update(&mut policy);
//! assert_eq!(script.ids(&update.connect), [1]);
//! assert_eq!(script.picks(&*update.picker, 4), [0, 2, 0, 2]);
//!
//! script.fail(2, "connection refused");
//! let update = script.update(&mut policy);
//! assert_eq!(script.picks(&*update.picker, 2), [0, 0]);
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{
    BoxError, ConnectivityState, Endpoint, EndpointId, EndpointIndex, EndpointStats, EndpointView,
    Metadata, Outcome, Pick, PickArgs, Picker, Policy, Update, View,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A list of endpoints, and a clock that only moves by hand.
///
/// Endpoint `i` of [`Self::new`] has the id `i`, the address `10.0.<i / 256>.<i % 256>:80` and the
/// place that its order gives it.
///
/// # Panics
///
/// All methods that take an id do when there is no such endpoint.
#[derive(Debug)]
pub struct Script {
    /// What the policy is shown.
    pub endpoints: Vec<EndpointView>,
    /// Whether a call waits while the channel is IDLE.
    pub call_waiting: bool,
    /// The random number of the next update.
    pub random: u64,
    /// The headers of the requests that are picked for.
    pub headers: HeaderMap,
    start: Instant,
    elapsed: Duration,
}

impl Script {
    /// Endpoints in these states.
    #[must_use]
    pub fn new(states: &[ConnectivityState]) -> Self {
        let mut script = Self {
            endpoints: Vec::new(),
            call_waiting: false,
            random: 0,
            headers: HeaderMap::new(),
            #[expect(
                clippy::disallowed_methods,
                reason = "an origin; only differences matter"
            )]
            start: Instant::now(),
            elapsed: Duration::ZERO,
        };
        for (id, state) in states.iter().enumerate() {
            script.add(id as u64, *state);
        }
        script
    }

    /// Adds an endpoint at the end.
    pub fn add(&mut self, id: u64, state: ConnectivityState) {
        let ip = Ipv4Addr::new(10, 0, (id / 256) as u8, (id % 256) as u8);
        let endpoint = Arc::new(Endpoint::new(SocketAddr::from((ip, 80))));
        self.endpoints
            .push(EndpointView::new(EndpointId(id), endpoint, state));
    }

    /// Takes an endpoint away.
    pub fn remove(&mut self, id: u64) {
        self.endpoints.retain(|one| one.id != EndpointId(id));
    }

    /// The endpoint with this id.
    #[must_use]
    pub fn find(&mut self, id: u64) -> &mut EndpointView {
        self.endpoints
            .iter_mut()
            .find(|one| one.id == EndpointId(id))
            .expect("a script is only asked about its own endpoints")
    }

    /// Moves an endpoint to a state, in which nothing holds it back.
    pub fn set(&mut self, id: u64, state: ConnectivityState) {
        let one = self.find(id);
        one.state = state;
        one.connected = state == ConnectivityState::Ready;
        one.held_back = false;
    }

    /// Moves an endpoint to TRANSIENT_FAILURE.
    pub fn fail(&mut self, id: u64, error: impl Into<BoxError>) {
        let one = self.find(id);
        *one = one.clone().with_error(error);
        one.state = ConnectivityState::TransientFailure;
        (one.connected, one.held_back) = (false, false);
    }

    /// Keeps calls from an endpoint that is connected, unless nothing else is left.
    pub fn hold_back(&mut self, id: u64, error: impl Into<BoxError>) {
        let one = self.find(id);
        *one = one.clone().hold_back(error);
    }

    /// Keeps calls from an endpoint that is connected, and whatever the need, as an open breaker does by
    /// default.
    pub fn refuse(&mut self, id: u64, error: impl Into<BoxError>) {
        self.hold_back(id, error);
        self.find(id).held_back = false;
    }

    /// Changes an endpoint's metadata.
    pub fn describe(&mut self, id: u64, change: impl FnOnce(&mut Metadata)) {
        let one = self.find(id);
        let mut metadata = one.endpoint.metadata().clone();
        change(&mut metadata);
        one.endpoint = Arc::new((*one.endpoint).clone().with_metadata(metadata));
    }

    /// Gives an endpoint a weight.
    pub fn weigh(&mut self, id: u64, weight: f64) {
        self.describe(id, |metadata| metadata.weight = Some(weight));
    }

    /// Lets `count` attempts at an endpoint end like this.
    pub fn end(&mut self, id: u64, count: usize, outcome: Outcome) {
        let stats: &EndpointStats = &self.find(id).stats;
        for _ in 0..count {
            stats.begin();
            stats.end(outcome);
        }
    }

    /// Sets a header of the requests that are picked for.
    ///
    /// # Panics
    ///
    /// The value is none.
    pub fn header(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::try_from(value).expect("a script's headers are valid");
        self.headers.insert(HeaderName::from_static(name), value);
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.elapsed += by;
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    /// What the policy is shown.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(&self.endpoints, self.random).with_call_waiting(self.call_waiting)
    }

    /// Asks a policy.
    pub fn update(&self, policy: &mut dyn Policy) -> Update {
        policy.update(self.now(), &self.view())
    }

    /// The ids at these places.
    #[must_use]
    pub fn ids(&self, places: &[EndpointIndex]) -> Vec<u64> {
        places
            .iter()
            .map(|index| self.endpoints[index.0].id.0)
            .collect()
    }

    /// What a picker answers to a call with the script's headers.
    pub fn answer(&self, picker: &dyn Picker, tried: &[u64], random: u64) -> Pick {
        let tried: Vec<_> = tried.iter().copied().map(EndpointId).collect();
        picker.pick(&PickArgs::new("/s/m", &self.headers, random).avoiding(&tried))
    }

    /// The id of the picked endpoint.
    ///
    /// # Panics
    ///
    /// No endpoint is picked, or one that is neither READY nor held back.
    pub fn pick(&self, picker: &dyn Picker, tried: &[u64], random: u64) -> u64 {
        match self.answer(picker, tried, random) {
            Pick::Endpoint(index) => {
                let picked = &self.endpoints[index.0];
                assert!(
                    picked.state == ConnectivityState::Ready || picked.held_back,
                    "{picked:?}"
                );
                picked.id.0
            }
            other => panic!("{other:?}"),
        }
    }

    /// The ids of `count` picks in a row, whose random numbers are 0, 1, 2….
    pub fn picks(&self, picker: &dyn Picker, count: usize) -> Vec<u64> {
        (0..count)
            .map(|random| self.pick(picker, &[], random as u64))
            .collect()
    }
}
