//! `evenkeel.panic_threshold`, and breakers that let calls pass as the last resort.

use std::time::Duration;

use evenkeel::errors::{BreakerOpen, NoEndpoint, cause};
use evenkeel::{BreakerConfig, BreakerState, Channel};
use evenkeel_testkit::{Behaviour, UserServer};
use tonic::Code;

use crate::{
    Client, ROUND_ROBIN, addresses, all_ready, builder, call, calls, servers, shares, since,
    state_of,
};

const PANIC: &str = r#"{"loadBalancingConfig": [{"evenkeel.panic_threshold":
    {"healthyPercent": 50, "childPolicy": [{"round_robin": {}}]}}]}"#;

/// Breakers that open at the third failure, for longer than a test lasts.
async fn channel(servers: &[UserServer], config: &str, last_resort: bool) -> Channel {
    let breaker = BreakerConfig {
        consecutive_failures: 3,
        open_time: Duration::from_secs(600),
        max_open_time: Duration::from_secs(600),
        last_resort,
        ..BreakerConfig::default()
    };
    let builder = builder(addresses(servers)).service_config(config);
    let channel = builder.breaker(breaker).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// Opens the breaker of `server`, which then works again.
async fn trip(channel: &Channel, client: &mut Client, server: &UserServer) {
    server.behave(Behaviour::fail(Code::ResourceExhausted));
    while state_of(channel, server).unwrap().1 != BreakerState::Open {
        // Others answer in between.
        let _ = call(client).await;
    }
    server.behave(Behaviour::Answer);
}

#[tokio::test]
async fn below_the_threshold_calls_go_to_all_again() {
    let servers = servers(3).await;
    let channel = channel(&servers, PANIC, true).await;
    let mut client = Client::new(channel.clone());
    trip(&channel, &mut client, &servers[0]).await;
    let before = shares(&servers);
    calls(&mut client, 30).await.unwrap();
    assert_eq!(
        since(&servers, &before),
        [0, 15, 15],
        "two of three will do"
    );

    trip(&channel, &mut client, &servers[1]).await;
    let before = shares(&servers);
    calls(&mut client, 30).await.unwrap();
    assert_eq!(
        since(&servers, &before),
        [10, 10, 10],
        "one of three will not"
    );
    for server in &servers[..2] {
        let breaker = state_of(&channel, server).unwrap().1;
        assert_eq!(breaker, BreakerState::Open);
    }
}

#[tokio::test]
async fn with_a_last_resort_calls_still_go_out_when_all_breakers_are_open() {
    for config in [PANIC, ROUND_ROBIN] {
        let servers = servers(3).await;
        let channel = channel(&servers, config, true).await;
        let mut client = Client::new(channel.clone());
        for server in &servers {
            server.behave(Behaviour::fail(Code::ResourceExhausted));
        }
        let all_open = |channel: &Channel| {
            let endpoints = channel.endpoints();
            let open = |one: &evenkeel::EndpointReport| one.breaker == Some(BreakerState::Open);
            endpoints.iter().all(open)
        };
        while !all_open(&channel) {
            call(&mut client).await.unwrap_err();
        }
        for server in &servers {
            server.behave(Behaviour::Answer);
        }
        let before = shares(&servers);
        calls(&mut client, 30).await.unwrap();
        assert_eq!(since(&servers, &before), [10, 10, 10], "{config}");
        assert!(all_open(&channel), "their answers count for nothing");
    }
}

#[tokio::test]
async fn without_one_calls_fail_at_once_when_all_breakers_are_open() {
    for config in [PANIC, ROUND_ROBIN] {
        let servers = servers(3).await;
        let channel = channel(&servers, config, false).await;
        let mut client = Client::new(channel.clone());
        for server in &servers {
            server.behave(Behaviour::fail(Code::ResourceExhausted));
        }
        let is_open = |server| state_of(&channel, server).unwrap().1 == BreakerState::Open;
        while !servers.iter().all(is_open) {
            call(&mut client).await.unwrap_err();
        }
        let before = shares(&servers);
        for _ in 0..10 {
            let status = call(&mut client).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            let none = cause::<NoEndpoint>(&status).expect("none is READY");
            for endpoint in &none.endpoints {
                let error = endpoint.error.as_deref().unwrap();
                assert!(error.contains("circuit breaker"), "{config}: {error}");
            }
        }
        for endpoint in channel.endpoints() {
            let open = cause::<BreakerOpen>(&**endpoint.error.as_ref().unwrap());
            assert!(open.is_some(), "the report says it by type");
        }
        assert_eq!(since(&servers, &before), [0, 0, 0], "{config}");
    }
}
