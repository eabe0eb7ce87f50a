//! Failover: no attempt goes where its call has been while there are others, whatever the LB policy.
//! Each is chosen by JSON alone.

mod picks;

use evenkeel::discover::Registration;
use evenkeel::{
    BreakerConfig, Channel, ConnectivityState, EndpointReport, MemoryRegistry, Metadata,
};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Behaviour, UserServer, within};
use evenkeel_tests::{Client, quick, servers, until};
use tonic::{Code, Status};

use crate::ledger::with_id;
use crate::retrying;

/// Policies without a child, and of how many of four endpoints a call of four attempts tries each.
const POLICIES: [(&str, &str, usize); 9] = [
    ("round_robin", "{}", 4),
    ("weighted_round_robin", "{}", 4),
    ("least_request_experimental", r#"{"choiceCount": 2}"#, 4),
    ("evenkeel.random", "{}", 4),
    ("evenkeel.registered_weighted_round_robin", "{}", 4),
    ("evenkeel.fastest_response", "{}", 4),
    (
        "ring_hash_experimental",
        r#"{"requestHashHeader": "x-user"}"#,
        4,
    ),
    (
        "evenkeel.ring_hash",
        r#"{"hashOn": {"header": "x-user"}, "boundedLoadFactor": 1.25}"#,
        4,
    ),
    // It has no other one that is connected.
    (PICK_FIRST, "{}", 1),
];

const PICK_FIRST: &str = "pick_first";

/// Policies around a child. Two of the four endpoints are in zone `a`, two in zone `b`.
const WRAPPERS: [(&str, &str); 7] = [
    ("outlier_detection_experimental", ""),
    ("evenkeel.slow_start", ""),
    ("evenkeel.panic_threshold", ""),
    (SUBSETTING, r#""subsetSize": 3,"#),
    (LOCALITY, r#""zone": "a","#),
    (PRIORITY, r#""levels": [{"metadata": {"zone": "a"}}, {}],"#),
    (
        ROUTING,
        r#""routes": [{"header": "x-zone", "metadata": "zone", "fallbacks": ["b"]}],"#,
    ),
];

const SUBSETTING: &str = "random_subsetting_experimental";
const LOCALITY: &str = "evenkeel.locality";
const PRIORITY: &str = "evenkeel.priority";
const ROUTING: &str = "evenkeel.metadata_routing";

/// `loadBalancingConfig` of each of them, alone and around each other, and how many endpoints of four
/// a call tries.
fn all() -> Vec<(String, usize)> {
    let alone = POLICIES.map(|(name, config, reach)| (one(name, config), reach));
    let mut all = alone.to_vec();
    for (wrapper, fields) in WRAPPERS {
        for (name, config, reach) in POLICIES {
            let child = one(name, config);
            let config = format!(r#"{{{fields} "childPolicy": {child}}}"#);
            all.push((
                one(wrapper, &config),
                reach_of_wrapped(wrapper, name, reach),
            ));
        }
    }
    all
}

fn one(name: &str, config: &str) -> String {
    format!(r#"[{{"{name}": {config}}}]"#)
}

fn reach_of_wrapped(wrapper: &str, child: &str, alone: usize) -> usize {
    match (wrapper, child) {
        (SUBSETTING, _) => alone.min(3),
        // A connection in each of the two zones.
        (LOCALITY | PRIORITY | ROUTING, PICK_FIRST) => 2,
        _ => alone,
    }
}

const SERVICE: &str = "user-service";

fn register(registry: &MemoryRegistry, servers: &[UserServer]) -> Vec<Registration> {
    let zones = ["a", "a", "b", "b"];
    let endpoints = servers.iter().zip(zones).map(|(server, zone)| {
        let mut metadata = Metadata::default();
        metadata.zone = Some(zone.to_owned());
        server.endpoint().with_metadata(metadata)
    });
    endpoints
        .map(|endpoint| registry.register(SERVICE, endpoint).unwrap())
        .collect()
}

/// A channel whose policy has connected all that it connects.
async fn channel(registry: &MemoryRegistry, policy: &str, reach: usize) -> Channel {
    let method = retrying(r#""UNAVAILABLE""#);
    let config = format!(
        r#"{{"loadBalancingConfig": {policy},
            "methodConfig": [{{"name": [{{"service": "UserService"}}], {method}}}]}}"#
    );
    let channel = Channel::builder(format!("memory:///{SERVICE}"))
        .registry(registry)
        .service_config(config)
        // Else four failures of a call, a few times over, would take the endpoints out.
        .breaker(BreakerConfig::disabled())
        .backoff(quick())
        .build()
        .unwrap();
    let are_connected = |channel: &Channel| {
        let endpoints = channel.endpoints();
        let ready = |one: &&EndpointReport| one.state == ConnectivityState::Ready;
        endpoints.len() == 4 && endpoints.iter().filter(ready).count() >= reach
    };
    if policy.contains("ring_hash") {
        // It connects for calls only: each attempt goes to one more.
        within("its connections", async {
            while !are_connected(&channel) {
                call(&channel, 0).await.unwrap_err();
            }
        })
        .await;
    }
    until(&channel, "its connections", are_connected).await;
    channel
}

/// Calls once.
async fn call(channel: &Channel, id: u64) -> Result<(), Status> {
    let mut request = with_id(id, GetByIdRequest::default());
    let metadata = request.metadata_mut();
    metadata.insert("x-user", id.into());
    metadata.insert("x-zone", "a".parse().unwrap());
    let mut client = Client::new(channel.clone());
    let answer = within("an answer", client.get_by_id(request)).await;
    answer.map(drop)
}

/// How many attempts of the call each server had.
fn attempts(servers: &[UserServer], id: u64) -> Vec<usize> {
    let executed = servers.iter().map(UserServer::executed);
    executed
        .map(|ids| ids.into_iter().filter(|it| *it == id).count())
        .collect()
}

#[tokio::test]
async fn attempt_n_avoids_the_endpoints_that_were_tried_with_every_policy() {
    const CALLS: u64 = 4;
    let servers = servers(4).await;
    let registry = MemoryRegistry::new();
    let _registered = register(&registry, &servers);
    for server in &servers {
        server.behave(Behaviour::fail(Code::Unavailable));
    }
    let mut id = 0;
    for (policy, reach) in all() {
        let channel = channel(&registry, &policy, reach).await;
        for _ in 0..CALLS {
            id += 1;
            call(&channel, id).await.unwrap_err();
            let attempts = attempts(&servers, id);
            let tried = attempts.iter().filter(|count| **count > 0).count();
            assert_eq!(attempts.iter().sum::<usize>(), 4, "{policy}");
            assert_eq!(tried, reach, "{policy}: {attempts:?}");
        }
        // Whoever is the only one that answers is found.
        for (place, server) in servers.iter().enumerate().filter(|_| reach == 4) {
            server.behave(Behaviour::Answer);
            id += 1;
            call(&channel, id).await.unwrap();
            let attempts = attempts(&servers, id);
            let once = attempts.iter().all(|count| *count <= 1);
            assert!(once && attempts[place] == 1, "{policy}: {attempts:?}");
            server.behave(Behaviour::fail(Code::Unavailable));
        }
    }
}
