//! A call ends at its deadline, wherever it is, with DEADLINE_EXCEEDED.

use std::time::Duration;

use evenkeel::errors::{DeadlineExceeded, cause};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, UserServer, within};
use futures_util::StreamExt;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::{Client, addresses, builder, call, channel, config, list, servers};

const SHORT: &str = r#""timeout": "0.1s""#;

#[track_caller]
fn is_deadline(status: &Status, path: &str) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let error = cause::<DeadlineExceeded>(status).expect("it is known as our own deadline");
    assert_eq!(error.path, path);
}

/// The status says that these had not answered.
#[track_caller]
fn names(status: &Status, servers: &[UserServer]) {
    let error = cause::<DeadlineExceeded>(status).unwrap();
    let mut told: Vec<_> = error.waited_for.iter().map(ToString::to_string).collect();
    let mut expected = addresses(servers);
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    for address in expected {
        assert!(status.message().contains(&address), "{status}");
    }
}

#[tokio::test]
async fn each_attempt_of_a_hedged_call_is_named_that_has_not_answered() {
    let servers = servers(2).await;
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let hedging = r#""timeout": "0.1s", "hedgingPolicy": {"maxAttempts": 2}"#;
    let mut client = Client::new(channel(&servers, &config("round_robin", hedging)).await);
    let status = call(&mut client).await.unwrap_err();
    is_deadline(&status, "/UserService/GetById");
    names(&status, &servers);
}

#[tokio::test]
async fn a_hanging_server_costs_the_methods_timeout_and_sees_the_reset() {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let only_this = config("round_robin", SHORT).replace(
        r#"{"service": "UserService"}"#,
        r#"{"service": "UserService", "method": "GetById"}"#,
    );
    let mut client = Client::new(channel(&servers, &only_this).await);
    let status = call(&mut client).await.unwrap_err();
    is_deadline(&status, "/UserService/GetById");
    names(&status, &servers[..1]);
    let seen = servers[0]
        .wait_for("the reset", |seen| seen.cancelled == 1)
        .await;
    let timeout = &seen.last_request.unwrap().headers["grpc-timeout"];
    assert_eq!(timeout, "100000u", "the server knows it as well");

    // The connection is as good as before.
    servers[0].behave(Behaviour::Answer);
    let users = list(&mut client, 10).await.into_inner();
    let users: Vec<_> = within("all users", users.collect()).await;
    assert_eq!((users.len(), servers[0].seen().accepted), (10, 1));
}

#[tokio::test]
async fn the_shorter_of_the_callers_and_the_methods_timeout_counts() {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(600));
    for (method, asked) in [("0.1s", long), ("600s", short)] {
        let config = config("round_robin", &format!(r#""timeout": "{method}""#));
        let mut client = Client::new(channel(&servers, &config).await);
        let mut request = Request::new(GetByIdRequest { id: 1 });
        request.set_timeout(asked);
        let call = client.get_by_id(request);
        let status = within("the end", call).await.unwrap_err();
        is_deadline(&status, "/UserService/GetById");
    }
}

#[tokio::test]
async fn a_caller_needs_no_service_config_for_a_deadline() {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let mut client = Client::new(channel(&servers, "{}").await);
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.set_timeout(Duration::from_millis(100));
    let call = client.get_by_id(request);
    let status = within("the end", call).await.unwrap_err();
    is_deadline(&status, "/UserService/GetById");
}

#[tokio::test]
async fn a_call_that_is_queued_says_what_it_was_waiting_for() {
    let server = UserServer::start().await.unwrap();
    let silent = FaultProxy::start(server.socket_address()).await.unwrap();
    silent.set(Fault::Pause).await;
    for policy in ["round_robin", "pick_first"] {
        let builder = builder([silent.address()]).service_config(config(policy, SHORT));
        let status = call(&mut Client::new(builder.build().unwrap()))
            .await
            .unwrap_err();
        is_deadline(&status, "/UserService/GetById");
        let waiting = format!("{}: CONNECTING", silent.address());
        assert!(status.message().contains(&waiting), "{status}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_response_stream_between_two_messages() {
    let servers = servers(1).await;
    servers[0].close_gate();
    servers[0].let_through(2);
    let config = config("round_robin", r#""timeout": "1s""#);
    let mut client = Client::new(channel(&servers, &config).await);
    let begun = Instant::now();
    let mut users = list(&mut client, 10).await.into_inner();
    for _ in 0..2 {
        within("a user", users.message()).await.unwrap().unwrap();
    }
    let status = within("the end", users.message()).await.unwrap_err();
    is_deadline(&status, "/UserService/ListUsers");
    names(&status, &servers);
    assert!(begun.elapsed() >= Duration::from_secs(1), "not early");
    servers[0]
        .wait_for("the reset", |seen| seen.cancelled == 1)
        .await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_always_has_a_message_ready() {
    let servers = servers(1).await;
    let config = config("round_robin", r#""timeout": "1s""#);
    let mut client = Client::new(channel(&servers, &config).await);
    let mut users = list(&mut client, 0).await.into_inner();
    let end = async {
        loop {
            if let Err(status) = users.message().await {
                return status;
            }
        }
    };
    is_deadline(&within("the end", end).await, "/UserService/ListUsers");
    servers[0]
        .wait_for("the reset", |seen| seen.in_flight == 0)
        .await;
}

#[tokio::test]
async fn a_deadline_ends_the_pause_before_a_retry() {
    let servers = servers(2).await;
    for server in &servers {
        server.behave(Behaviour::fail(Code::Unavailable));
    }
    let method = r#""timeout": "1s", "retryPolicy": {"maxAttempts": 5, "initialBackoff": "600s",
        "maxBackoff": "600s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}"#;
    let mut client = Client::new(channel(&servers, &config("round_robin", method)).await);
    let status = call(&mut client).await.unwrap_err();
    is_deadline(&status, "/UserService/GetById");
    assert!(status.message().contains("UNAVAILABLE"), "{status}");
    assert_eq!(crate::shares(&servers).iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let servers = servers(1).await;
    let channel = channel(&servers, "{}").await;
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.set_timeout(Duration::ZERO);
    let mut client = Client::new(channel);
    let status = client.get_by_id(request).await.unwrap_err();
    is_deadline(&status, "/UserService/GetById");
    call(&mut client).await.unwrap();
    assert_eq!(servers[0].seen().total_calls(), 1);
}
