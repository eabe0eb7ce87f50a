//! Policies that follow what servers do: errors take registered weight, and slow ones get few calls.

use std::time::Duration;

use evenkeel::Channel;
use evenkeel_testkit::{Behaviour, UserServer, within};
use tokio::task::yield_now;
use tokio::time::advance;
use tonic::Code;

use super::StoppedClock;
use crate::{Client, call, calls, channel, servers, shares, since};

const WEIGHTED: &str = r#"{"loadBalancingConfig": [{"custom_weighted_round_robin": {}}]}"#;

/// Lets one call fail at `server`.
async fn fail_one(client: &mut Client, server: &UserServer, code: Code) {
    server.fail_next(1, code);
    let failed = within("the failure", async {
        loop {
            if let Err(status) = call(client).await {
                return status;
            }
        }
    });
    assert_eq!(failed.await.code(), code);
}

/// Lets the channel's policy hear of what has changed until `by` is over.
async fn heard(channel: &Channel, by: Duration) {
    let changed = channel.changed();
    // The channel's task has its turn: it sets its timers.
    for _ in 0..10 {
        yield_now().await;
    }
    // Timers are of whole milliseconds.
    advance(by + Duration::from_millis(1)).await;
    within("the policy's answer", changed).await;
}

/// How the next `count` calls are shared.
async fn shared(client: &mut Client, servers: &[UserServer], count: usize) -> Vec<u64> {
    let before = shares(servers);
    calls(client, count).await.unwrap();
    since(servers, &before)
}

/// How long a policy does not hear of a failure, so that it hears of many at once.
const TOGETHER: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn an_exhausted_server_gets_half_of_its_calls_and_the_rest_little_by_little() {
    let _stopped = StoppedClock::new();
    let servers = servers(3).await;
    let channel = channel(&servers, WEIGHTED).await;
    let mut client = Client::new(channel.clone());
    fail_one(&mut client, &servers[0], Code::ResourceExhausted).await;
    heard(&channel, TOGETHER).await;
    assert_eq!(shared(&mut client, &servers, 50).await, [10, 20, 20]);
    for _ in 0..10 {
        heard(&channel, Duration::from_millis(500)).await;
    }
    assert_eq!(shared(&mut client, &servers, 60).await, [20, 20, 20]);
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_server_gets_no_calls_until_it_is_probed() {
    let _stopped = StoppedClock::new();
    let servers = servers(3).await;
    let channel = channel(&servers, WEIGHTED).await;
    let mut client = Client::new(channel.clone());
    for _ in 0..2 {
        fail_one(&mut client, &servers[0], Code::Unavailable).await;
    }
    heard(&channel, TOGETHER).await;
    assert_eq!(shared(&mut client, &servers, 60).await, [0, 30, 30]);
    advance(Duration::from_millis(995)).await;
    assert_eq!(shared(&mut client, &servers, 60).await, [0, 30, 30]);
    heard(&channel, Duration::from_millis(5)).await;
    let probed = shared(&mut client, &servers, 66).await;
    assert!((1..=3).contains(&probed[0]), "{probed:?}");
}

#[tokio::test]
async fn nothing_is_taken_from_a_failing_server_when_that_is_off() {
    let servers = servers(3).await;
    let config =
        r#"{"loadBalancingConfig": [{"custom_weighted_round_robin": {"reactToErrors": false}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        fail_one(&mut client, &servers[0], code).await;
        for _ in 0..10 {
            let before = shares(&servers);
            calls(&mut client, 60).await.unwrap();
            assert_eq!(since(&servers, &before), [20, 20, 20]);
        }
    }
}

#[tokio::test]
async fn a_slow_server_gets_few_calls_of_fastest_response() {
    let servers = servers(3).await;
    servers[0].behave(Behaviour::AnswerAfter(Duration::from_millis(500)));
    let config = r#"{"loadBalancingConfig": [{"evenkeel.fastest_response": {}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    calls(&mut client, 300).await.unwrap();
    // One to find out, and one of 192 to see whether it still is.
    let shares = shares(&servers);
    assert!(shares[0] <= 20, "{shares:?}");
    assert!(shares[1] > 30 && shares[2] > 30, "{shares:?}");
}
