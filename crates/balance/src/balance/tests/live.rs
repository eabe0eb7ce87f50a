//! A service config that changes while calls are made.

use evenkeel_service_config::{ConfigError, LiveConfig, ParseOptions, PolicyRegistry};

use super::*;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
const PICK_FIRST: &str = r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#;
const WRONG: &str = r#"{"loadBalancingConfig": [{"round-robin": {}}]}"#;

fn live(config: &LiveConfig, endpoints: &[(&'static str, &FakeEndpoint)]) -> (Channel, Changes) {
    let (changes, stream) = discover();
    for (key, endpoint) in endpoints {
        changes
            .send(Ok(Change::Insert(*key, (*endpoint).clone())))
            .unwrap();
    }
    (BalanceLayer::live(config).layer(stream), changes)
}

async fn calls(channel: &Channel, count: usize) {
    for _ in 0..count {
        assert_eq!(call(channel, request()).await.unwrap(), Code::Ok);
    }
}

fn two() -> [FakeEndpoint; 2] {
    ["10.0.0.1:1", "10.0.0.2:1"].map(FakeEndpoint::ready)
}

fn taken(endpoints: &[FakeEndpoint; 2]) -> [usize; 2] {
    endpoints
        .each_ref()
        .map(|one| one.shared.calls.swap(0, Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn another_policy_takes_over_and_loses_no_connection_that_it_wants() {
    let endpoints = two();
    let config = LiveConfig::default();
    config.update(ROUND_ROBIN).unwrap();
    let (channel, _changes) = live(&config, &[("a", &endpoints[0]), ("b", &endpoints[1])]);
    ready(&channel).await;
    calls(&channel, 4).await;
    assert_eq!(taken(&endpoints), [2, 2]);

    let changed = channel.changed();
    config.update(PICK_FIRST).unwrap();
    changed.await;
    calls(&channel, 4).await;
    assert_eq!(taken(&endpoints), [4, 0]);

    let changed = channel.changed();
    config.update(ROUND_ROBIN).unwrap();
    changed.await;
    calls(&channel, 4).await;
    assert_eq!(taken(&endpoints), [2, 2]);
    let disconnects = endpoints.map(|one| one.shared.disconnects.load(Ordering::Relaxed));
    assert_eq!(disconnects[0], 0);
    assert!(disconnects[1] > 0, "pick_first keeps one connection");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_config_changes_nothing_and_new_endpoints_still_count() {
    let endpoints = two();
    let config = LiveConfig::default();
    config.update(ROUND_ROBIN).unwrap();
    let (channel, changes) = live(&config, &[("a", &endpoints[0])]);
    ready(&channel).await;
    let error = config.update(WRONG).unwrap_err();
    assert_eq!(error.path, "$.loadBalancingConfig");
    let changed = channel.changed();
    changes
        .send(Ok(Change::Insert("b", endpoints[1].clone())))
        .unwrap();
    changed.await;
    calls(&channel, 4).await;
    assert_eq!(taken(&endpoints), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_first_config_that_is_wrong_fails_calls_until_there_is_a_right_one() {
    let endpoints = two();
    let config = LiveConfig::new(None, ParseOptions::default());
    config.update(WRONG).unwrap_err();
    let (channel, _changes) = live(&config, &[("a", &endpoints[0]), ("b", &endpoints[1])]);
    state(&channel, ConnectivityState::TransientFailure).await;
    let error = call(&channel, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(cause::<ConfigError>(&error).is_some(), "{error}");
    assert!(error.message().contains("round-robin"), "{error}");

    config.update(ROUND_ROBIN).unwrap();
    state(&channel, ConnectivityState::Ready).await;
    calls(&channel, 4).await;
    assert_eq!(taken(&endpoints), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_config_with_the_same_policy_lets_it_go_on_whether_it_could_take_one_or_not() {
    let endpoints = two();
    let built = Arc::new(AtomicUsize::new(0));
    let mut registry = PolicyRegistry::default();
    let counter = built.clone();
    registry.register_fn("acme", move |config| {
        config.optional("size", |field| field.integer(0..=9))?;
        let built = counter.clone();
        Ok(move || {
            built.fetch_add(1, Ordering::Relaxed);
            RoundRobin::new()
        })
    });
    let options = ParseOptions {
        registry,
        ..ParseOptions::default()
    };
    let config = LiveConfig::new(None, options);
    let document = |size: u32, timeout: u32| {
        format!(
            r#"{{"loadBalancingConfig": [{{"acme": {{"size": {size}}}}}],
                "methodConfig": [{{"name": [{{}}], "timeout": "{timeout}s"}}]}}"#
        )
    };
    config.update(&document(1, 1)).unwrap();
    let (channel, changes) = live(&config, &[("a", &endpoints[0])]);
    ready(&channel).await;
    for (size, timeout, expected) in [(1, 2, 1), (1, 3, 1), (2, 3, 2)] {
        config.update(&document(size, timeout)).unwrap();
        // The driver has taken the config in when it shows another endpoint.
        for change in [
            Change::Insert("b", endpoints[1].clone()),
            Change::Remove("b"),
        ] {
            let changed = channel.changed();
            changes.send(Ok(change)).unwrap();
            changed.await;
        }
        assert_eq!(built.load(Ordering::Relaxed), expected, "{size} {timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_for_methods_only_lets_an_idle_pick_first_be_idle() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Idle);
    let config = LiveConfig::default();
    config.update(PICK_FIRST).unwrap();
    let (channel, _changes) = live(&config, &[("a", &endpoint)]);
    let connects = || endpoint.shared.connects.load(Ordering::Relaxed);
    while connects() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    endpoint.set(ConnectivityState::Ready, None);
    state(&channel, ConnectivityState::Ready).await;
    endpoint.set(ConnectivityState::Idle, None);
    state(&channel, ConnectivityState::Idle).await;
    let before = connects();
    let methods = r#"{"loadBalancingConfig": [{"pick_first": {}}],
        "methodConfig": [{"name": [{}], "timeout": "1s"}]}"#;
    config.update(methods).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connects(), before);
}

/// The services whose health an endpoint was asked for.
fn asked(endpoint: &FakeEndpoint) -> Vec<Option<String>> {
    let asked = endpoint.shared.health_services.lock();
    asked
        .iter()
        .map(|service| service.as_deref().map(str::to_owned))
        .collect()
}

fn with_health(policy: &str, service: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}],
            "healthCheckConfig": {{"serviceName": "{service}"}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_asked_for_their_health_as_the_config_in_force_has_it() {
    let endpoints = two();
    let config = LiveConfig::default();
    config.update(&with_health("round_robin", "a")).unwrap();
    let (channel, changes) = live(&config, &[("a", &endpoints[0])]);
    ready(&channel).await;
    let changed = channel.changed();
    changes
        .send(Ok(Change::Insert("b", endpoints[1].clone())))
        .unwrap();
    changed.await;
    let some = |service: &str| Some(service.to_owned());
    assert_eq!(asked(&endpoints[1]), [some("a")], "who comes later as well");
    for update in [
        &with_health("round_robin", ""),
        &with_health("least_request_experimental", ""),
        // It has nobody to compare its endpoint with.
        &with_health("pick_first", ""),
        &with_health("round_robin", "b"),
        ROUND_ROBIN,
    ] {
        let changed = channel.changed();
        config.update(update).unwrap();
        changed.await;
    }
    let expected = [some("a"), some(""), None, some("b"), None];
    assert_eq!(asked(&endpoints[0]), expected);
    assert_eq!(asked(&endpoints[1]), expected);
}

#[tokio::test(start_paused = true)]
async fn a_config_that_does_not_change_has_endpoints_asked_for_their_health_too() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (changes, stream) = discover();
    changes
        .send(Ok(Change::Insert("a", endpoint.clone())))
        .unwrap();
    let config = ServiceConfig::parse(&with_health("round_robin", "a"));
    let channel = BalanceLayer::new(&config.unwrap()).layer(stream);
    ready(&channel).await;
    assert_eq!(asked(&endpoint), [Some("a".to_owned())]);
    drop(channel);
    while asked(&endpoint).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(&endpoint)[1], None, "whatever calls are running");
}

#[tokio::test(start_paused = true)]
async fn endpoints_may_have_as_many_connections_as_the_config_in_force_has_it() {
    let [a, b] = two();
    let scaled = |policy: &str, most: u32| {
        format!(
            r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}],
                "connectionScaling": {{"maxConnectionsPerSubchannel": {most}}}}}"#
        )
    };
    let config = LiveConfig::default();
    config.update(&scaled("round_robin", 2)).unwrap();
    let (channel, changes) = live(&config, &[("a", &a)]);
    ready(&channel).await;
    let changed = channel.changed();
    changes.send(Ok(Change::Insert("b", b.clone()))).unwrap();
    changed.await;
    for update in [
        &scaled("round_robin", 3),
        // The same again, by another policy.
        &scaled("pick_first", 3),
        "{}",
    ] {
        let changed = channel.changed();
        config.update(update).unwrap();
        changed.await;
    }
    for endpoint in [a, b] {
        assert_eq!(*endpoint.shared.connections.lock(), [2, 3, 1]);
    }
}
