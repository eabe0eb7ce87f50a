//! Picking an endpoint allocates nothing, be it for a first attempt or for a retry.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{
    Address, BuildPolicy, ConnectivityState, Endpoint, EndpointId, EndpointIndex, EndpointView,
    Metadata, Pick, PickArgs, Policy, View,
};
use evenkeel_policy::lb::{
    BuildWrapper, FastestResponse, HashOn, LeastRequest, LeastRequestConfig, PickFirst,
    RandomChoice, RandomSubsettingConfig, RegisteredWeightedRoundRobin, RingHash, RingHashConfig,
    RoundRobin, SlowStart, SlowStartConfig, WeightedRoundRobin, WeightedRoundRobinConfig,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// READY endpoints of weights that `weight` gives them.
fn endpoints(weight: impl Fn(u64) -> f64) -> Vec<EndpointView> {
    let endpoint = |id: u64| {
        let address = SocketAddr::from(([10, 0, 0, id as u8], 80));
        let metadata = Metadata::default().with_weight(weight(id));
        let endpoint = Arc::new(Endpoint::new(Address::Ip(address)).with_metadata(metadata));
        EndpointView::new(EndpointId(id), endpoint, ConnectivityState::Ready)
    };
    (0..20).map(endpoint).collect()
}

#[test]
fn picks_allocate_nothing() {
    let whole = endpoints(|id| id as f64 + 1.0);
    let fractions = endpoints(|id| 1.0 / (id as f64 + 3.0));
    let policies: [(&str, Box<dyn Policy>, &[EndpointView]); 7] = [
        ("pick_first", Box::new(PickFirst::default()), &whole),
        ("round_robin", Box::new(RoundRobin::new()), &whole),
        (
            "least_request",
            Box::new(LeastRequest::new(LeastRequestConfig::default())),
            &whole,
        ),
        (
            "weighted, rotation",
            Box::new(RegisteredWeightedRoundRobin::default()),
            &whole,
        ),
        (
            "weighted, stride",
            Box::new(RegisteredWeightedRoundRobin::default()),
            &fractions,
        ),
        (
            "weighted_round_robin",
            Box::new(WeightedRoundRobin::new(WeightedRoundRobinConfig::default())),
            &whole,
        ),
        (
            "fastest_response",
            Box::new(FastestResponse::default()),
            &whole,
        ),
    ];
    #[expect(
        clippy::disallowed_methods,
        reason = "an origin; nothing depends on it"
    )]
    let now = Instant::now();
    let headers = HeaderMap::new();
    let tried: Vec<_> = (0..4).map(EndpointId).collect();
    let all: Vec<_> = (0..20).map(EndpointId).collect();
    for (name, mut policy, endpoints) in policies {
        let picker = policy.update(now, &View::new(endpoints, 7)).picker;
        let counted = allocation_counter::measure(|| {
            for random in 0..1_000 {
                for tried in [&[][..], &tried, &all] {
                    let args = PickArgs::new("/s/m", &headers, random).avoiding(tried);
                    assert!(matches!(black_box(picker.pick(&args)), Pick::Endpoint(_)));
                }
            }
        });
        assert_eq!(counted.count_total, 0, "{name}");
    }
}

fn ring_hash(header: &'static str, bounded_load_factor: Option<f64>) -> Box<dyn Policy> {
    let mut config = RingHashConfig::default();
    config.hash_on = Some(HashOn::Header(HeaderName::from_static(header)));
    config.bounded_load_factor = bounded_load_factor;
    Box::new(RingHash::new(config))
}

#[test]
fn hashing_and_random_picks_allocate_nothing() {
    let endpoints = endpoints(|id| id as f64 + 1.0);
    // So that a bound passes over them.
    endpoints[..10].iter().for_each(|one| one.stats.begin());
    let subsetting = RandomSubsettingConfig::new(10, Arc::new(RoundRobin::new));
    let policies: [(&str, Box<dyn Policy>); 6] = [
        ("random", Box::new(RandomChoice::new())),
        ("ring_hash", ring_hash("one", None)),
        ("ring_hash, several values", ring_hash("two", None)),
        ("ring_hash, no key", ring_hash("none", None)),
        ("ring_hash, bounded", ring_hash("one", Some(1.0))),
        ("random_subsetting", subsetting.build()),
    ];
    #[expect(
        clippy::disallowed_methods,
        reason = "an origin; nothing depends on it"
    )]
    let now = Instant::now();
    let mut headers = HeaderMap::new();
    headers.insert("one", HeaderValue::from_static("alice"));
    headers.append("two", HeaderValue::from_static("alice"));
    headers.append("two", HeaderValue::from_static("bob"));
    let tried: Vec<_> = (0..4).map(EndpointId).collect();
    for (name, mut policy) in policies {
        let picker = policy.update(now, &View::new(&endpoints, 7)).picker;
        let counted = allocation_counter::measure(|| {
            for random in 0..1_000 {
                for tried in [&[][..], &tried] {
                    let args = PickArgs::new("/s/m", &headers, random).avoiding(tried);
                    assert!(matches!(black_box(picker.pick(&args)), Pick::Endpoint(_)));
                }
            }
        });
        assert_eq!(counted.count_total, 0, "{name}");
    }
}

#[test]
fn picks_allocate_nothing_while_endpoints_ramp_up() {
    let mut endpoints = endpoints(|_| 1.0);
    for one in &mut endpoints[1..] {
        one.state = ConnectivityState::Idle;
        one.connected = false;
    }
    let slow_start: BuildWrapper<SlowStart> =
        BuildWrapper::new(SlowStartConfig::default(), Arc::new(RoundRobin::new));
    let mut policy = slow_start.build();
    #[expect(
        clippy::disallowed_methods,
        reason = "an origin; only differences matter"
    )]
    let now = Instant::now();
    policy.update(now, &View::new(&endpoints, 7));
    for one in &mut endpoints {
        one.state = ConnectivityState::Ready;
        one.connected = true;
    }
    let later = now + Duration::from_secs(60);
    let picker = policy.update(later, &View::new(&endpoints, 7)).picker;
    let headers = HeaderMap::new();
    let mut firsts = 0;
    let counted = allocation_counter::measure(|| {
        for random in 0..1_000 {
            let args = PickArgs::new("/s/m", &headers, random);
            let pick = black_box(picker.pick(&args));
            firsts += usize::from(matches!(pick, Pick::Endpoint(EndpointIndex(0))));
        }
    });
    assert_eq!(counted.count_total, 0);
    assert!(firsts > 200, "{firsts}: the others do ramp up");
}
