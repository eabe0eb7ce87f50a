//! Endpoints in scripted states, shown to a policy without a network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{
    Address, ConnectivityState, Endpoint, EndpointId, EndpointIndex, EndpointView, Metadata, Pick,
    PickArgs, Picker, Policy, Update, View,
};
use http::HeaderMap;

/// A list of endpoints; endpoint `i` has id `i`, address `10.0.0.i:80` and the place its order
/// gives it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) endpoints: Vec<EndpointView>,
    pub(crate) call_waiting: bool,
    pub(crate) random: u64,
    start: Instant,
    elapsed: Duration,
}

impl Script {
    pub(crate) fn new(states: &[ConnectivityState]) -> Self {
        let mut script = Self {
            endpoints: Vec::new(),
            call_waiting: false,
            random: 0,
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

    pub(crate) fn add(&mut self, id: u64, state: ConnectivityState) {
        let address = format!("10.0.{}.{}:80", id / 256, id % 256);
        let endpoint = Arc::new(Endpoint::new(address.parse::<Address>().unwrap()));
        self.endpoints
            .push(EndpointView::new(EndpointId(id), endpoint, state));
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.endpoints.retain(|one| one.id != EndpointId(id));
    }

    fn find(&mut self, id: u64) -> &mut EndpointView {
        self.endpoints
            .iter_mut()
            .find(|one| one.id == EndpointId(id))
            .unwrap()
    }

    pub(crate) fn set(&mut self, id: u64, state: ConnectivityState) {
        self.find(id).state = state;
    }

    pub(crate) fn fail(&mut self, id: u64, error: &str) {
        let one = self.find(id);
        *one = one.clone().with_error(error);
        one.state = ConnectivityState::TransientFailure;
    }

    pub(crate) fn weigh(&mut self, id: u64, weight: f64) {
        let one = self.find(id);
        let mut metadata = Metadata::default();
        metadata.weight = Some(weight);
        one.endpoint = Arc::new((*one.endpoint).clone().with_metadata(metadata));
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.elapsed += by;
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::new(&self.endpoints, self.random).with_call_waiting(self.call_waiting)
    }

    pub(crate) fn update(&self, policy: &mut dyn Policy) -> Update {
        policy.update(self.now(), &self.view())
    }

    /// The ids at these places.
    pub(crate) fn ids(&self, places: &[EndpointIndex]) -> Vec<u64> {
        places
            .iter()
            .map(|index| self.endpoints[index.0].id.0)
            .collect()
    }

    /// The id of the picked endpoint, which must be READY.
    pub(crate) fn pick(&self, picker: &dyn Picker, tried: &[u64], random: u64) -> u64 {
        let tried: Vec<_> = tried.iter().copied().map(EndpointId).collect();
        let headers = HeaderMap::new();
        let args = PickArgs::new("/s/m", &headers, random).avoiding(&tried);
        match picker.pick(&args) {
            Pick::Endpoint(index) => {
                let picked = &self.endpoints[index.0];
                assert_eq!(picked.state, ConnectivityState::Ready);
                picked.id.0
            }
            other => panic!("{other:?}"),
        }
    }

    /// The ids of `count` picks in a row.
    pub(crate) fn picks(&self, picker: &dyn Picker, count: usize) -> Vec<u64> {
        (0..count)
            .map(|random| self.pick(picker, &[], random as u64))
            .collect()
    }
}
