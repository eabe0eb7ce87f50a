//! `evenkeel.locality` and `evenkeel.priority`: some endpoints are better than others.

use evenkeel::{MemoryRegistry, Metadata};
use evenkeel_testkit::UserServer;

use super::{register, registered, until_shares, until_shares_despite_failures};
use crate::{Client, all_ready, calls, servers, shares};

fn at(zone: &str, region: &str) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.zone = Some(zone.to_owned());
    metadata.region = Some(region.to_owned());
    metadata
}

fn of_tier(tier: &str) -> Metadata {
    let mut metadata = Metadata::default();
    let other = &mut metadata.other;
    other.insert("tier".to_owned(), tier.to_owned());
    metadata
}

fn accepted(servers: &[UserServer]) -> Vec<u64> {
    servers.iter().map(|one| one.seen().accepted).collect()
}

#[tokio::test]
async fn calls_stay_in_the_zone_then_in_the_region_and_come_back() {
    let mut servers = servers(4).await;
    let registry = MemoryRegistry::new();
    let places = [at("a", "eu"), at("a", "eu"), at("b", "eu"), at("a", "us")];
    let _registrations = register(&registry, &servers, places);
    let config = r#"{"loadBalancingConfig": [{"evenkeel.locality":
        {"zone": "a", "region": "eu", "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = registered(&registry, config).build().unwrap();
    all_ready(&channel, 4).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 40).await.unwrap();
    assert_eq!(shares(&servers), [20, 20, 0, 0]);

    servers[0].kill().await;
    until_shares_despite_failures(&mut client, &servers, 20, |it| it == [0, 20, 0, 0]).await;
    servers[1].kill().await;
    until_shares_despite_failures(&mut client, &servers, 20, |it| it == [0, 0, 20, 0]).await;
    servers[2].kill().await;
    until_shares_despite_failures(&mut client, &servers, 20, |it| it == [0, 0, 0, 20]).await;

    servers[2].restart().await.unwrap();
    until_shares(&mut client, &servers, 20, |it| it == [0, 0, 20, 0]).await;
    servers[0].restart().await.unwrap();
    until_shares(&mut client, &servers, 20, |it| it == [20, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_lower_level_that_is_not_warm_is_connected_when_it_is_needed() {
    let mut servers = servers(2).await;
    let registry = MemoryRegistry::new();
    let _registrations = register(&registry, &servers, [of_tier("spare"), of_tier("best")]);
    let config = r#"{"loadBalancingConfig": [{"evenkeel.priority":
        {"levels": [{"metadata": {"tier": "best"}}, {"metadata": {"tier": "spare"}}],
         "warm": false, "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = registered(&registry, config).build().unwrap();
    let mut client = Client::new(channel);
    calls(&mut client, 20).await.unwrap();
    assert_eq!(shares(&servers), [0, 20]);
    assert_eq!(accepted(&servers), [0, 1]);

    servers[1].kill().await;
    until_shares_despite_failures(&mut client, &servers, 20, |it| it == [20, 0]).await;
    assert_eq!(accepted(&servers), [1, 1]);
}

#[tokio::test]
async fn a_level_that_has_lost_half_of_its_servers_takes_half_of_the_calls() {
    let mut servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let tiers = [of_tier("best"), of_tier("best"), of_tier("spare")];
    let _registrations = register(&registry, &servers, tiers);
    let config = r#"{"loadBalancingConfig": [{"evenkeel.priority":
        {"levels": [{"metadata": {"tier": "best"}}, {}], "minHealthyPercent": 100,
         "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = registered(&registry, config).build().unwrap();
    all_ready(&channel, 3).await;
    let mut client = Client::new(channel);
    calls(&mut client, 100).await.unwrap();
    assert_eq!(shares(&servers), [50, 50, 0]);

    servers[0].kill().await;
    // Half of 200, and seven times the standard deviation at most.
    let is_half = |shares: &[u64]| shares[0] == 0 && (51..150).contains(&shares[2]);
    until_shares_despite_failures(&mut client, &servers, 200, is_half).await;
    servers[0].restart().await.unwrap();
    until_shares(&mut client, &servers, 100, |it| it == [50, 50, 0]).await;
}
