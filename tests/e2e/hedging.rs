//! Hedging: attempts side by side, each on an endpoint of its own; the losers are reset.

use std::time::Duration;

use evenkeel::{BreakerConfig, Channel, RetryConfig};
use evenkeel_testkit::pb::{ImportUsersRequest, User};
use evenkeel_testkit::server::Seen;
use evenkeel_testkit::{Behaviour, UserServer, within};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::{
    Client, addresses, all_ready, builder, call, config, list, served_by, servers, shares,
};

/// Up to `attempts` attempts, one each `delay` (`"0.01s"`).
fn hedging(policy: &str, attempts: u32, delay: &str) -> String {
    let method = format!(
        r#""hedgingPolicy": {{"maxAttempts": {attempts}, "hedgingDelay": "{delay}",
            "nonFatalStatusCodes": ["UNAVAILABLE"]}}"#
    );
    config(policy, &method)
}

async fn channel(servers: &[UserServer], config: &str) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let builder = builder.breaker(BreakerConfig::disabled());
    let channel = builder.build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// All endpoints of `channel` have nothing on their way.
fn is_at_rest(channel: &Channel) -> bool {
    channel
        .endpoints()
        .iter()
        .all(|one| one.stats.in_flight() == 0)
}

#[tokio::test]
async fn a_hedge_answers_for_a_server_that_hangs_whose_stream_is_reset() {
    for policy in ["round_robin", "least_request", "weighted_round_robin"] {
        let servers = servers(2).await;
        servers[0].behave(Behaviour::Hang);
        let channel = channel(&servers, &hedging(policy, 2, "0.01s")).await;
        let mut client = Client::new(channel.clone());
        for _ in 0..20 {
            let name = call(&mut client).await.unwrap();
            assert_eq!(name, servers[1].name(), "{policy}");
        }
        let seen = servers[0]
            .wait_for("the losers to be reset", |seen| seen.in_flight == 0)
            .await;
        assert_eq!(seen.cancelled, seen.total_calls(), "{policy}: each of them");
        // One is counted when it comes, which may be after the answer of the other.
        let hung = seen.total_calls();
        assert!(
            (1..=20).contains(&hung),
            "{policy}: {hung} of 20 calls, once each"
        );
        assert_eq!(
            shares(&servers)[1],
            20,
            "{policy}: one attempt of each call"
        );
        assert!(is_at_rest(&channel), "{policy}");
    }
}

#[tokio::test]
async fn without_a_delay_each_attempt_has_an_endpoint_of_its_own() {
    let servers = servers(3).await;
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let channel = channel(&servers, &hedging("round_robin", 3, "0s")).await;
    let mut client = Client::new(channel.clone());
    let mut calls = JoinSet::new();
    calls.spawn(async move { call(&mut client).await });
    for server in &servers {
        server
            .wait_for("an attempt at each", |seen| seen.in_flight == 1)
            .await;
    }
    let mut previous: Vec<_> = servers
        .iter()
        .map(|server| server.seen().previous_attempts[..3].to_vec())
        .collect();
    previous.sort();
    assert_eq!(previous, [[0, 0, 1], [0, 1, 0], [1, 0, 0]]);
    servers[2].behave(Behaviour::Answer);
    let answered = calls.join_next().await.unwrap().unwrap();
    assert_eq!(answered.unwrap(), servers[2].name());
    for server in &servers[..2] {
        server
            .wait_for("the losers to be reset", |seen| {
                seen.cancelled == 1 && seen.in_flight == 0
            })
            .await;
    }
    assert_eq!(shares(&servers), [1, 1, 1]);
    assert!(is_at_rest(&channel));
}

#[tokio::test]
async fn a_code_that_is_not_fatal_starts_the_next_attempt_and_any_other_ends_the_call() {
    let servers = servers(3).await;
    let channel = channel(&servers, &hedging("round_robin", 3, "60s")).await;
    let mut client = Client::new(channel);
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    servers[1].behave(Behaviour::fail(Code::Unavailable));
    for _ in 0..9 {
        assert_eq!(call(&mut client).await.unwrap(), servers[2].name());
    }
    servers[0].behave(Behaviour::fail(Code::NotFound));
    servers[1].behave(Behaviour::fail(Code::NotFound));
    servers[2].behave(Behaviour::fail(Code::NotFound));
    let before: u64 = shares(&servers).iter().sum();
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(shares(&servers).iter().sum::<u64>(), before + 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_cancels_every_attempt() {
    let servers = servers(3).await;
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let channel = channel(&servers, &hedging("round_robin", 3, "0s")).await;
    let mut client = Client::new(channel.clone());
    let mut calls = JoinSet::new();
    calls.spawn(async move { call(&mut client).await });
    for server in &servers {
        server
            .wait_for("an attempt at each", |seen| seen.in_flight == 1)
            .await;
    }
    calls.abort_all();
    for server in &servers {
        server
            .wait_for("all to be reset", |seen| {
                seen.cancelled == 1 && seen.in_flight == 0
            })
            .await;
    }
    assert!(is_at_rest(&channel));
}

fn import(id: i64) -> ImportUsersRequest {
    let user = User {
        id,
        ..User::default()
    };
    ImportUsersRequest { user: Some(user) }
}

#[tokio::test]
async fn a_streamed_request_reaches_the_hedge_from_its_beginning() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, &hedging("round_robin", 2, "0.01s")).await;
    let mut client = Client::new(channel.clone());
    for calls in 1..=2 {
        let (send, users) = mpsc::unbounded_channel();
        let call = client.import_users(UnboundedReceiverStream::new(users));
        let feed = async {
            send.send(import(1)).unwrap();
            // The first half is on its way to both, the other half comes while both read.
            (1..25).for_each(|id| send.send(import(id)).unwrap());
            for server in &servers {
                let hit = |seen: &Seen| seen.total_calls() == calls;
                server.wait_for("an attempt at each", hit).await;
            }
            (25..50).for_each(|id| send.send(import(id)).unwrap());
            drop(send);
        };
        let (response, ()) = tokio::join!(within("an answer", call), feed);
        let response = response.unwrap();
        assert_eq!(served_by(&response), servers[1].name());
        assert_eq!(response.into_inner().stored, 50);
        servers[0]
            .wait_for("the loser to be reset", |seen| seen.in_flight == 0)
            .await;
    }
    assert!(is_at_rest(&channel));
}

/// Requests that are read by attempts on other threads than their call's, and are too long to be
/// kept; whichever attempt keeps one, its server gets all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_too_long_to_be_kept_are_whole_wherever_they_end_up() {
    let servers = servers(3).await;
    servers[0].behave(Behaviour::AnswerAfter(Duration::from_millis(5)));
    let builder = builder(addresses(&servers)).service_config(hedging("round_robin", 3, "0.001s"));
    let channel = builder
        .breaker(BreakerConfig::disabled())
        .retry(RetryConfig {
            call_buffer: 2_000,
            ..RetryConfig::default()
        })
        .build()
        .unwrap();
    all_ready(&channel, servers.len()).await;
    let mut calls = JoinSet::new();
    for caller in 0..8 {
        let mut client = Client::new(channel.clone());
        calls.spawn(async move {
            for call in 0..25 {
                let users = (0..300).map(move |id| import(id + caller * call));
                let slowly = stream::iter(users).then(async |user| {
                    tokio::task::yield_now().await;
                    user
                });
                let call = client.import_users(slowly);
                let stored = within("an answer", call).await.unwrap().into_inner().stored;
                assert_eq!(stored, 300);
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    for server in &servers {
        server
            .wait_for("the losers to be reset", |seen| seen.in_flight == 0)
            .await;
    }
    assert!(is_at_rest(&channel));
}

#[tokio::test]
async fn the_stream_of_the_winner_goes_on_to_its_end() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::Hang);
    let channel = channel(&servers, &hedging("round_robin", 2, "0.01s")).await;
    let mut client = Client::new(channel.clone());
    for _ in 0..2 {
        let mut stream = list(&mut client, 1_000).await.into_inner();
        let mut ids = 0..;
        while let Some(message) = within("a message", stream.message()).await.unwrap() {
            assert_eq!(message.user.unwrap().id, ids.next().unwrap() + 1);
        }
        assert_eq!(ids.next(), Some(1_000));
    }
    within("rest", async {
        while !is_at_rest(&channel) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
