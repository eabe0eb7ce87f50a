//! Each LB policy, selected by JSON and seen by the servers.

use evenkeel::discover::{Registration, StaticDiscover};
use evenkeel::{Channel, MemoryRegistry, Metadata};
use evenkeel_testkit::{UserServer, within};

use crate::{
    COURSE, Client, ROUND_ROBIN, all_ready, call, calls, channel, list, quick, served_by, servers,
    shares, since, until,
};

const WEIGHTS: [f64; 3] = [10.0, 20.0, 30.0];

fn weighted(servers: &[UserServer]) -> Vec<evenkeel::Endpoint> {
    let weights = servers.iter().zip(WEIGHTS);
    weights
        .map(|(server, weight)| server.weighted(weight))
        .collect()
}

fn register(registry: &MemoryRegistry, servers: &[UserServer]) -> Vec<Registration> {
    let endpoints = weighted(servers).into_iter();
    endpoints
        .map(|endpoint| registry.register("user-service", endpoint).unwrap())
        .collect()
}

#[tokio::test]
async fn pick_first_sends_all_to_the_first_and_then_to_the_next_one() {
    for config in ["{}", r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#] {
        let mut servers = servers(3).await;
        let builder = crate::builder(crate::addresses(&servers)).service_config(config);
        let mut client = Client::new(builder.build().unwrap());
        calls(&mut client, 30).await.unwrap();
        assert_eq!(shares(&servers), [30, 0, 0], "{config}");
        let connections = servers.iter().map(|server| server.seen().accepted);
        assert_eq!(connections.collect::<Vec<_>>(), [1, 0, 0], "{config}");

        servers[0].kill().await;
        let next = within("the next one", async {
            loop {
                // Calls may fail until the loss is noticed; no retry policy forbids it.
                if let Ok(name) = call(&mut client).await {
                    return name;
                }
            }
        });
        assert_eq!(next.await, servers[1].name(), "{config}");
        calls(&mut client, 30).await.unwrap();
        assert_eq!(shares(&servers), [30, 31, 0], "{config}");
    }
}

#[tokio::test]
async fn round_robin_gives_each_its_turn() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, ROUND_ROBIN).await);
    let mut names = Vec::new();
    for _ in 0..30 {
        names.push(call(&mut client).await.unwrap());
    }
    assert_eq!(shares(&servers), [10, 10, 10]);
    for turn in names.windows(4) {
        assert_eq!(turn[0], turn[3], "every third call goes to the same");
    }
}

#[tokio::test]
async fn least_request_avoids_the_endpoint_with_open_streams() {
    let servers = servers(2).await;
    let config = r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": 10}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    // Streams spread evenly, so some soon run at the first server.
    let (mut busy, mut others) = (Vec::new(), Vec::new());
    while busy.len() < 3 {
        let mut users = list(&mut client, 0).await;
        let name = served_by(&users);
        users.get_mut().message().await.unwrap();
        if name == servers[0].name() {
            busy.push(users);
        } else {
            others.push(users);
        }
    }
    drop(others);
    let before = shares(&servers);
    calls(&mut client, 200).await.unwrap();
    // A call goes to the busy one only if all ten choices are that one: 1 in 1024.
    let [first, second] = since(&servers, &before)[..] else {
        panic!("two servers")
    };
    assert_eq!(first + second, 200);
    assert!(first <= 6, "{first} calls to the busy one");
}

#[tokio::test]
async fn registered_weights_are_exact_shares_from_a_static_list() {
    for name in [
        "custom_weighted_round_robin",
        "evenkeel.registered_weighted_round_robin",
    ] {
        let servers = servers(3).await;
        let channel = Channel::builder("static:///user-service")
            .discover(StaticDiscover::new(weighted(&servers)))
            .service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{name}": {{}}}}]}}"#
            ))
            .build()
            .unwrap();
        all_ready(&channel, 3).await;
        let mut client = Client::new(channel);
        for _ in 0..10 {
            let before = shares(&servers);
            calls(&mut client, 60).await.unwrap();
            assert_eq!(since(&servers, &before), [10, 20, 30]);
            let before = shares(&servers);
            calls(&mut client, 6).await.unwrap();
            assert_eq!(since(&servers, &before), [1, 2, 3], "the shortest rotation");
        }
    }
}

#[tokio::test]
async fn a_changed_weight_changes_the_shares_on_the_same_connections() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let registrations = register(&registry, &servers);
    let channel = Channel::builder("memory:///user-service")
        .registry(&registry)
        .service_config(COURSE)
        .backoff(quick())
        .build()
        .unwrap();
    all_ready(&channel, 3).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 60).await.unwrap();
    assert_eq!(shares(&servers), [10, 20, 30]);

    let heavy = Metadata::default().with_weight(50.0);
    registrations[0].update(heavy).unwrap();
    let weight = |channel: &Channel| channel.endpoints()[0].endpoint.metadata().weight;
    until(&channel, "the new weight", |it| weight(it) == Some(50.0)).await;
    let before = shares(&servers);
    calls(&mut client, 100).await.unwrap();
    assert_eq!(since(&servers, &before), [50, 20, 30]);

    // Weight 0 drains; without it the other two share alone.
    let none = Metadata::default().with_weight(0.0);
    registrations[0].update(none).unwrap();
    until(&channel, "the weight 0", |it| weight(it) == Some(0.0)).await;
    let before = shares(&servers);
    calls(&mut client, 50).await.unwrap();
    assert_eq!(since(&servers, &before), [0, 20, 30]);
    for server in &servers {
        assert_eq!(server.seen().accepted, 1);
    }
}

#[tokio::test]
async fn one_that_comes_or_goes_joins_or_leaves_the_rotation() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let mut registrations = register(&registry, &servers[..2]);
    let channel = Channel::builder("memory:///user-service")
        .registry(&registry)
        .service_config(ROUND_ROBIN)
        .build()
        .unwrap();
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 20).await.unwrap();
    assert_eq!(shares(&servers), [10, 10, 0]);

    registrations.push(
        registry
            .register("user-service", servers[2].endpoint())
            .unwrap(),
    );
    all_ready(&channel, 3).await;
    calls(&mut client, 30).await.unwrap();
    assert_eq!(shares(&servers), [20, 20, 10]);

    drop(registrations.remove(0));
    until(&channel, "one is gone", |it| it.endpoints().len() == 2).await;
    calls(&mut client, 20).await.unwrap();
    assert_eq!(shares(&servers), [20, 30, 20]);
    servers[0]
        .wait_for("its connection closes", |seen| seen.connections == 0)
        .await;
}
