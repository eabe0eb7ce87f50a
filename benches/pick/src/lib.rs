//! Picking alone, and what it costs to publish a change: every LB policy over endpoints without a
//! network.

mod steered;
mod update;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{
    Address, ConnectivityState, Endpoint, EndpointId, EndpointView, LatencyConfig, Metadata,
    Outcome, Pick, PickArgs, Picker, Policy, View,
};
use evenkeel_service_config::ServiceConfig;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use update::{CHANGES, Change, Channel};

/// An LB policy, over endpoints whose weights make it do what is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What arguments and tables call it.
    pub name: &'static str,
    /// An entry of `loadBalancingConfig`.
    config: &'static str,
    /// The weight of the endpoint at a place; what it reports of its load, for policies that go
    /// by that.
    weight: fn(usize) -> f64,
    /// Whether every other endpoint has just been connected; otherwise nobody is new any more.
    half_are_new: bool,
}

const fn alike(name: &'static str, config: &'static str) -> Case {
    Case {
        name,
        config,
        weight: |_| 1.0,
        half_are_new: false,
    }
}

/// Every policy there is; wrappers around `round_robin`, so that what they add is the difference.
pub const ALL: [Case; 17] = [
    alike("pick_first", r#"{"pick_first":{}}"#),
    alike("round_robin", r#"{"round_robin":{}}"#),
    alike("random", r#"{"evenkeel.random":{}}"#),
    alike("least_request", r#"{"least_request_experimental":{}}"#),
    alike("fastest_response", r#"{"evenkeel.fastest_response":{}}"#),
    // Up to 1 638 endpoints: their turns are a table of 4 096 at most.
    Case {
        weight: |place| [1.0, 2.0, 3.0, 4.0][place % 4],
        ..alike(
            "weighted_rotation",
            r#"{"evenkeel.registered_weighted_round_robin":{}}"#,
        )
    },
    Case {
        weight: |place| 1.0 / (3 + place % 97) as f64,
        ..alike(
            "weighted_stride",
            r#"{"evenkeel.registered_weighted_round_robin":{}}"#,
        )
    },
    Case {
        weight: |place| 1.0 / (3 + place % 97) as f64,
        ..alike(
            "weighted_by_load",
            r#"{"weighted_round_robin":{"blackoutPeriod":"0s"}}"#,
        )
    },
    alike(
        "ring_hash",
        r#"{"ring_hash_experimental":{"requestHashHeader":"x-user"}}"#,
    ),
    alike(
        "ring_hash_bounded",
        r#"{"evenkeel.ring_hash":{"hashOn":{"header":"x-user"},"boundedLoadFactor":1.25}}"#,
    ),
    alike(
        "outlier_detection",
        r#"{"outlier_detection_experimental":{"successRateEjection":{},"childPolicy":[{"round_robin":{}}]}}"#,
    ),
    alike(
        "random_subsetting",
        r#"{"random_subsetting_experimental":{"subsetSize":100,"childPolicy":[{"round_robin":{}}]}}"#,
    ),
    alike(
        "locality",
        r#"{"evenkeel.locality":{"zone":"a","childPolicy":[{"round_robin":{}}]}}"#,
    ),
    alike(
        "metadata_routing",
        r#"{"evenkeel.metadata_routing":{"routes":[{"header":"x-version","metadata":"version"}],"childPolicy":[{"round_robin":{}}]}}"#,
    ),
    alike(
        "panic_threshold",
        r#"{"evenkeel.panic_threshold":{"childPolicy":[{"round_robin":{}}]}}"#,
    ),
    alike(
        "slow_start",
        r#"{"evenkeel.slow_start":{"childPolicy":[{"round_robin":{}}]}}"#,
    ),
    Case {
        half_are_new: true,
        ..alike(
            "slow_start_ramping",
            r#"{"evenkeel.slow_start":{"childPolicy":[{"round_robin":{}}]}}"#,
        )
    },
];

/// What the requests have that is picked for.
fn headers() -> HeaderMap {
    let header = |name, value| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    HeaderMap::from_iter([header("x-user", "4711"), header("x-version", "v1")])
}

impl Case {
    /// The one of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|case| case.name == name)
    }

    fn build(self) -> Box<dyn Policy> {
        let json = format!(r#"{{"loadBalancingConfig":[{}]}}"#, self.config);
        let config = ServiceConfig::parse(&json).expect("the config is ours");
        config.load_balancing().build()
    }

    fn endpoint(self, place: usize) -> Endpoint {
        let [_, a, b, c] = u32::try_from(place).expect("few endpoints").to_be_bytes();
        let address = Address::Ip(SocketAddr::from(([10, a, b, c], 80)));
        let mut metadata = Metadata::default().with_weight((self.weight)(place));
        metadata.version = Some("v1".to_owned());
        metadata.zone = Some("a".to_owned());
        Endpoint::new(address).with_metadata(metadata)
    }

    /// Its picker over as many READY endpoints.
    #[must_use]
    pub fn picking(self, endpoints: usize) -> Picking {
        let is_late = |place| self.half_are_new && place % 2 == 1;
        let view = |place| {
            let id = EndpointId(place as u64);
            let state = match is_late(place) {
                true => ConnectivityState::Connecting,
                false => ConnectivityState::Ready,
            };
            EndpointView::new(id, Arc::new(self.endpoint(place)), state)
        };
        let mut endpoints: Vec<_> = (0..endpoints).map(view).collect();
        #[expect(
            clippy::disallowed_methods,
            reason = "an origin; nothing depends on it"
        )]
        let now = Instant::now();
        let mut policy = self.build();
        policy.update(now, &View::new(&endpoints, 7));
        for (place, endpoint) in endpoints.iter_mut().enumerate() {
            (endpoint.state, endpoint.connected) = (ConnectivityState::Ready, true);
            let took = Duration::from_millis(5 + place as u64 % 7);
            let stats = &endpoint.stats;
            stats.record_load(now, (self.weight)(place));
            stats.record_latency(now, took, Outcome::Success, &LatencyConfig::default());
        }
        // Long enough for who was READY before not to be new any more.
        let update = policy.update(now + Duration::from_secs(60), &View::new(&endpoints, 7));
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
        let headers = headers();
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
