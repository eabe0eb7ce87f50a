//! Policies that follow what servers do: errors take registered weight, and slow ones get few calls.

use std::time::Duration;

use evenkeel_testkit::{Behaviour, UserServer, within};
use tonic::Code;

use super::until_shares;
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

#[tokio::test]
async fn an_exhausted_server_gets_half_of_its_calls_and_the_rest_again_later() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, WEIGHTED).await);
    until_shares(&mut client, &servers, 60, |shares| shares[0] == 20).await;
    fail_one(&mut client, &servers[0], Code::ResourceExhausted).await;
    // Half the weight of the others: a fifth, not a third.
    until_shares(&mut client, &servers, 50, |shares| shares[0] <= 11).await;
    until_shares(&mut client, &servers, 50, |shares| shares[0] >= 14).await;
}

#[tokio::test]
async fn an_unavailable_server_gets_no_calls_until_it_is_probed() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, WEIGHTED).await);
    for _ in 0..2 {
        fail_one(&mut client, &servers[0], Code::Unavailable).await;
    }
    until_shares(&mut client, &servers, 60, |shares| shares[0] == 0).await;
    until_shares(&mut client, &servers, 60, |shares| shares[0] > 0).await;
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
