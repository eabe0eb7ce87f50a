//! Weights that servers register.

use evenkeel::discover::StaticDiscover;
use evenkeel::{Channel, Endpoint, MemoryRegistry, Metadata};
use evenkeel_testkit::UserServer;

use super::{register, registered};
use crate::{COURSE, Client, all_ready, calls, servers, shares, since, until};

const WEIGHTS: [f64; 3] = [10.0, 20.0, 30.0];

fn weighted(servers: &[UserServer]) -> Vec<Endpoint> {
    let weights = servers.iter().zip(WEIGHTS);
    weights
        .map(|(server, weight)| server.weighted(weight))
        .collect()
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
    let metadata = WEIGHTS.map(|weight| Metadata::default().with_weight(weight));
    let registrations = register(&registry, &servers, metadata);
    let channel = registered(&registry, COURSE).build().unwrap();
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
