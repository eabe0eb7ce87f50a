//! outlier_detection_experimental: servers that fail much are taken out, and let back in.

use evenkeel::{BreakerState, Channel};
use evenkeel_testkit::{Behaviour, UserServer};
use tonic::Status;

use super::{until_shares, until_shares_despite_failures};
use crate::{Client, all_ready, channel, servers, state_of, until};

fn is_ejected(channel: &Channel, server: &UserServer) -> bool {
    let name = server.address().to_string();
    let endpoints = channel.endpoints().into_iter();
    let mut ejected = endpoints
        .filter(|one| one.endpoint.to_string() == name)
        .map(|one| one.ejected.is_some());
    ejected.next().unwrap()
}

/// Three servers, the first of which fails half of its calls until it gets none, and then works.
async fn taken_out_and_let_back_in(ejection: &str) {
    let servers = servers(3).await;
    let config = format!(
        r#"{{"loadBalancingConfig": [{{"outlier_detection_experimental": {{
            "interval": "0.2s", "baseEjectionTime": "0.3s", "maxEjectionTime": "0.6s",
            "maxEjectionPercent": 34, {ejection}, "childPolicy": [{{"round_robin": {{}}}}]}}}}]}}"#
    );
    let channel = channel(&servers, &config).await;
    let mut client = Client::new(channel.clone());
    until_shares(&mut client, &servers, 60, |shares| shares == [20, 20, 20]).await;

    let half = Behaviour::FailEach(2, Status::unavailable("every other call"));
    servers[0].behave(half);
    until_shares_despite_failures(&mut client, &servers, 60, |shares| shares == [0, 30, 30]).await;
    let breaker = state_of(&channel, &servers[0]).unwrap().1;
    assert_eq!(breaker, BreakerState::Closed, "the ejection took it out");
    assert_eq!(servers[0].seen().connections, 1, "its connection stays");

    servers[0].behave(Behaviour::Answer);
    until(&channel, "it is let back in", |channel| {
        !is_ejected(channel, &servers[0])
    })
    .await;
    all_ready(&channel, 3).await;
    until_shares(&mut client, &servers, 60, |shares| shares == [20, 20, 20]).await;
    for server in &servers {
        assert_eq!(server.seen().accepted, 1);
    }
}

#[tokio::test]
async fn by_its_failure_percentage() {
    let ejection = r#""failurePercentageEjection":
        {"threshold": 40, "minimumHosts": 3, "requestVolume": 5}"#;
    taken_out_and_let_back_in(ejection).await;
}

#[tokio::test]
async fn by_its_success_rate() {
    // Of 50, 100 and 100 % the mean is 83 % and the standard deviation 24 %.
    let ejection = r#""successRateEjection":
        {"stdevFactor": 1000, "minimumHosts": 3, "requestVolume": 5}"#;
    taken_out_and_let_back_in(ejection).await;
}

#[tokio::test]
async fn the_endpoint_says_why_it_gets_no_calls() {
    let servers = servers(3).await;
    let config = r#"{"loadBalancingConfig": [{"outlier_detection_experimental": {
        "interval": "0.1s", "baseEjectionTime": "600s", "maxEjectionTime": "600s",
        "failurePercentageEjection": {"threshold": 40, "minimumHosts": 3, "requestVolume": 5},
        "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = channel(&servers, config).await;
    let mut client = Client::new(channel.clone());
    servers[1].behave(Behaviour::FailEach(2, Status::internal("every other call")));
    until_shares_despite_failures(&mut client, &servers, 20, |_| {
        is_ejected(&channel, &servers[1])
    })
    .await;
    let reason = channel.endpoints()[1].ejected.clone().unwrap();
    assert!(reason.to_string().contains("ejected"), "{reason}");
    until_shares(&mut client, &servers, 20, |shares| shares == [10, 0, 10]).await;
}
