//! Picking alone, and what it costs to publish a change: every LB policy over endpoints without a
//! network.

mod steered;
mod update;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{
    Address, ConnectivityState, Endpoint, EndpointId, EndpointView, Metadata, Pick, PickArgs,
    Picker, Policy, View,
};
use evenkeel_service_config::ServiceConfig;
use http::HeaderMap;

pub use update::{CHANGES, Change, Channel};

/// An LB policy, over endpoints whose weights make it do what is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What arguments and tables call it.
    pub name: &'static str,
    /// Its name in a service config.
    policy: &'static str,
    /// The weight of the endpoint at a place.
    weight: fn(usize) -> f64,
}

/// Every policy there is.
pub const ALL: [Case; 5] = [
    Case {
        name: "pick_first",
        policy: "pick_first",
        weight: |_| 1.0,
    },
    Case {
        name: "round_robin",
        policy: "round_robin",
        weight: |_| 1.0,
    },
    Case {
        name: "least_request",
        policy: "least_request_experimental",
        weight: |_| 1.0,
    },
    // Up to 1 638 endpoints: their turns are a table of 4 096 at most.
    Case {
        name: "weighted_rotation",
        policy: "evenkeel.registered_weighted_round_robin",
        weight: |place| [1.0, 2.0, 3.0, 4.0][place % 4],
    },
    Case {
        name: "weighted_stride",
        policy: "evenkeel.registered_weighted_round_robin",
        weight: |place| 1.0 / (3 + place % 97) as f64,
    },
];

impl Case {
    /// The one of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|case| case.name == name)
    }

    fn build(self) -> Box<dyn Policy> {
        let json = format!(r#"{{"loadBalancingConfig":[{{"{}":{{}}}}]}}"#, self.policy);
        let config = ServiceConfig::parse(&json).expect("the config is ours");
        config.load_balancing().build()
    }

    fn endpoint(self, place: usize) -> Endpoint {
        let [_, a, b, c] = u32::try_from(place).expect("few endpoints").to_be_bytes();
        let address = Address::Ip(SocketAddr::from(([10, a, b, c], 80)));
        let weight = (self.weight)(place);
        Endpoint::new(address).with_metadata(Metadata::default().with_weight(weight))
    }

    /// Its picker over as many READY endpoints.
    #[must_use]
    pub fn picking(self, endpoints: usize) -> Picking {
        let view = |place| {
            let id = EndpointId(place as u64);
            EndpointView::new(id, Arc::new(self.endpoint(place)), ConnectivityState::Ready)
        };
        let endpoints: Vec<_> = (0..endpoints).map(view).collect();
        #[expect(
            clippy::disallowed_methods,
            reason = "an origin; nothing depends on it"
        )]
        let now = Instant::now();
        let update = self.build().update(now, &View::new(&endpoints, 7));
        Picking {
            picker: update.picker,
            slots: endpoints.into_iter().map(Arc::new).collect(),
        }
    }
}

/// A picker, and what it picks from.
#[derive(Clone, Debug)]
pub struct Picking {
    picker: Arc<dyn Picker>,
    slots: Arc<[Arc<EndpointView>]>,
}

impl Picking {
    /// Picks for `picks` first attempts, as the balancer does: with a random number for each, up
    /// to the reference to the endpoint.
    pub fn picks(&self, picks: u64) {
        let headers = HeaderMap::new();
        let (picker, slots) = black_box((&*self.picker, &*self.slots));
        for _ in 0..picks {
            let args = PickArgs::new("/UserService/GetById", &headers, fastrand::u64(..));
            match picker.pick(&args) {
                Pick::Endpoint(index) => black_box(slots.get(index.0)),
                other => panic!("all endpoints are READY: {other:?}"),
            };
        }
    }
}
