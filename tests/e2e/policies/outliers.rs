//! outlier_detection_experimental: servers that fail much are taken out, and let back in.

use std::time::Duration;

use evenkeel::{BreakerState, Channel};
use evenkeel_testkit::{Behaviour, UserServer};
use tokio::time::advance;
use tonic::Status;

use super::{StoppedClock, until_shares, until_shares_despite_failures};
use crate::{Client, all_ready, calls, channel, servers, shares, since, state_of, until};

fn is_ejected(channel: &Channel, server: &UserServer) -> bool {
    let name = server.address().to_string();
    let endpoints = channel.endpoints().into_iter();
    let mut ejected = endpoints
        .filter(|one| one.endpoint.to_string() == name)
        .map(|one| one.ejected.is_some());
    ejected.next().unwrap()
}

fn every_other_call() -> Behaviour {
    Behaviour::FailEach(2, Status::unavailable("every other call"))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_half_of_its_calls_is_out_from_a_sweep_to_the_first_after_30_s() {
    let _stopped = StoppedClock::new();
    let servers = servers(3).await;
    let config = r#"{"loadBalancingConfig": [{"outlier_detection_experimental": {
        "failurePercentageEjection": {"threshold": 49, "minimumHosts": 3, "requestVolume": 20},
        "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = channel(&servers, config).await;
    let mut client = Client::new(channel.clone());
    servers[0].behave(every_other_call());
    until_shares_despite_failures(&mut client, &servers, 60, |shares| shares == [20, 20, 20]).await;

    // Sweeps are 10 s apart. At the fourth it has been out for 30 s, not longer.
    for (behaviour, expected) in [
        (every_other_call(), [0, 30, 30]),
        (Behaviour::Answer, [0, 30, 30]),
        (Behaviour::Answer, [0, 30, 30]),
        (Behaviour::Answer, [0, 30, 30]),
        (Behaviour::Answer, [20, 20, 20]),
        (Behaviour::Answer, [20, 20, 20]),
    ] {
        let changed = channel.changed();
        advance(Duration::from_secs(10)).await;
        changed.await;
        servers[0].behave(behaviour);
        let before = shares(&servers);
        calls(&mut client, 60).await.unwrap();
        assert_eq!(since(&servers, &before), expected);
    }
    for server in &servers {
        assert_eq!(server.seen().accepted, 1, "its connection stays");
    }
}

#[tokio::test]
async fn one_that_succeeds_less_often_than_the_others_is_taken_out_and_let_back_in() {
    let servers = servers(3).await;
    // Of 50, 100 and 100 % the mean is 83 % and the standard deviation 24 %.
    let config = r#"{"loadBalancingConfig": [{"outlier_detection_experimental": {
        "interval": "0.2s", "baseEjectionTime": "0.3s", "maxEjectionTime": "0.6s",
        "successRateEjection": {"stdevFactor": 1000, "minimumHosts": 3, "requestVolume": 5},
        "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = channel(&servers, config).await;
    let mut client = Client::new(channel.clone());
    until_shares(&mut client, &servers, 60, |shares| shares == [20, 20, 20]).await;

    servers[0].behave(every_other_call());
    until_shares_despite_failures(&mut client, &servers, 60, |shares| shares == [0, 30, 30]).await;
    let breaker = state_of(&channel, &servers[0]).unwrap().1;
    assert_eq!(breaker, BreakerState::Closed, "the ejection took it out");

    servers[0].behave(Behaviour::Answer);
    until(&channel, "it is let back in", |channel| {
        !is_ejected(channel, &servers[0])
    })
    .await;
    all_ready(&channel, 3).await;
    until_shares(&mut client, &servers, 60, |shares| shares == [20, 20, 20]).await;
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
    servers[1].behave(every_other_call());
    until_shares_despite_failures(&mut client, &servers, 20, |_| {
        is_ejected(&channel, &servers[1])
    })
    .await;
    let reason = channel.endpoints()[1].ejected.clone().unwrap();
    assert!(reason.to_string().contains("ejected"), "{reason}");
    until_shares(&mut client, &servers, 20, |shares| shares == [10, 0, 10]).await;
}
