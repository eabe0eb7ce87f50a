//! A service config that is replaced while calls run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use evenkeel::LiveConfig;
use evenkeel::errors::{MessageKind, MessageTooLarge, cause};
use evenkeel_testkit::{UserServer, within};
use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    Client, ROUND_ROBIN, addresses, all_ready, builder, call, calls, channel, config, servers,
    shares, since,
};

/// How many connections each server has taken so far.
fn accepted(servers: &[UserServer]) -> Vec<u64> {
    servers
        .iter()
        .map(|server| server.seen().accepted)
        .collect()
}

const RETRY: &str = r#""retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s",
    "maxBackoff": "0.02s", "backoffMultiplier": 2, "retryableStatusCodes": ["ABORTED"]}"#;

#[tokio::test]
async fn updates_while_calls_run_fail_none_and_reconnect_nothing() {
    let servers = servers(3).await;
    let channel = channel(&servers, ROUND_ROBIN).await;
    let connections = accepted(&servers);

    let is_over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (mut client, is_over) = (Client::new(channel.clone()), Arc::clone(&is_over));
        let done = Arc::clone(&done);
        callers.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                call(&mut client).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), tonic::Status>(())
        });
    }
    let policies = [
        "least_request_experimental",
        "round_robin",
        "evenkeel.fastest_response",
    ];
    for (turn, policy) in policies.iter().cycle().take(12).enumerate() {
        let timeout = format!(r#""timeout": "{}s""#, 20 + turn);
        let method = if turn % 2 == 0 { RETRY } else { &timeout };
        channel
            .update_service_config(&config(policy, method))
            .unwrap();
        let current = channel.service_config();
        assert_eq!(current.load_balancing().name(), *policy);
        let before = done.load(Ordering::Relaxed);
        within("calls by the new config", async {
            while done.load(Ordering::Relaxed) < before + 40 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap().unwrap();
    }
    assert_eq!(accepted(&servers), connections);
}

#[tokio::test]
async fn the_next_call_has_the_new_timeout_and_the_new_retries() {
    let servers = servers(1).await;
    let channel = channel(&servers, "{}").await;
    let mut client = Client::new(channel.clone());
    let timeout = || {
        let request = servers[0].seen().last_request.unwrap();
        request.headers.contains_key("grpc-timeout")
    };
    call(&mut client).await.unwrap();
    assert!(!timeout());
    servers[0].fail_next(1, Code::Aborted);
    assert_eq!(call(&mut client).await.unwrap_err().code(), Code::Aborted);

    let method = format!(r#"{RETRY}, "timeout": "20s""#);
    channel
        .update_service_config(&config("pick_first", &method))
        .unwrap();
    servers[0].fail_next(2, Code::Aborted);
    call(&mut client).await.unwrap();
    assert!(timeout());
    assert_eq!(servers[0].seen().retries(), 2);

    let error = channel.update_service_config(&config("pick_first", r#""timeout": "100ms""#));
    let error = error.unwrap_err();
    assert_eq!(error.path, "$.methodConfig[0].timeout");
    servers[0].fail_next(2, Code::Aborted);
    call(&mut client).await.unwrap();
    assert_eq!(servers[0].seen().retries(), 4, "the config is what it was");
    assert_eq!(servers[0].seen().accepted, 1);
}

#[tokio::test]
async fn another_policy_takes_over_the_connections_of_the_last_one() {
    let servers = servers(3).await;
    let live = LiveConfig::default();
    live.update(ROUND_ROBIN).unwrap();
    let builder = builder(addresses(&servers)).live_config(live.clone());
    let channel = builder.build().unwrap();
    all_ready(&channel, 3).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 30).await.unwrap();
    assert_eq!(shares(&servers), [10, 10, 10]);

    live.update("{}").unwrap();
    within("pick_first", async {
        loop {
            let before = shares(&servers);
            calls(&mut client, 6).await.unwrap();
            if since(&servers, &before) == [6, 0, 0] {
                return;
            }
        }
    })
    .await;
    assert_eq!(accepted(&servers), [1, 1, 1]);
}

#[tokio::test]
async fn a_message_that_is_too_long_fails_its_call_and_opens_no_breaker() {
    let servers = servers(1).await;
    let channel = channel(&servers, "{}").await;
    let mut client = Client::new(channel.clone());
    for (limit, kind) in [
        (r#""maxRequestMessageBytes": 1"#, MessageKind::Request),
        (r#""maxResponseMessageBytes": 1"#, MessageKind::Response),
    ] {
        channel
            .update_service_config(&config("pick_first", limit))
            .unwrap();
        let before = shares(&servers);
        for _ in 0..20 {
            let status = call(&mut client).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            let error = cause::<MessageTooLarge>(&status).unwrap();
            assert_eq!((error.kind, error.limit), (kind, 1));
            assert_eq!(error.path, "/UserService/GetById");
        }
        let sent = u64::from(kind == MessageKind::Response) * 20;
        assert_eq!(since(&servers, &before), [sent]);
    }
    channel.update_service_config("{}").unwrap();
    calls(&mut client, 10).await.unwrap();
}
