//! Retries with failover: attempt 2 goes elsewhere, says so, and happens only where it may.

use std::time::Duration;

use evenkeel::errors::{CallFailed, cause};
use evenkeel::{Answered, BreakerConfig, Channel};
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest, SyncUsersRequest, User};
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, UserServer, within};
use tonic::{Code, Request};

use crate::{
    Client, addresses, all_ready, builder, call, config, list, served_by, servers, shares,
};

/// Up to `attempts` attempts, 10 ms apart at first.
fn retrying(attempts: u32) -> String {
    let method = format!(
        r#""retryPolicy": {{"maxAttempts": {attempts}, "initialBackoff": "0.01s",
            "maxBackoff": "0.02s", "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}}"#
    );
    config("round_robin", &method)
}

/// A channel without breakers: each attempt goes where the policy says.
async fn channel(servers: &[UserServer], config: &str) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let builder = builder.breaker(BreakerConfig::disabled());
    let channel = builder.build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

#[tokio::test]
async fn attempt_2_goes_to_another_endpoint_and_says_which_attempt_it_is() {
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let servers = servers(3).await;
        servers[0].behave(Behaviour::fail(code));
        let mut client = Client::new(channel(&servers, &retrying(2)).await);
        for _ in 0..60 {
            let name = call(&mut client).await.unwrap();
            assert_ne!(name, servers[0].name());
        }
        let failed = servers[0].seen();
        assert!(failed.total_calls() > 0);
        assert_eq!(failed.retries(), 0, "no second attempt comes back");
        let [one, two] = [servers[1].seen(), servers[2].seen()];
        let second = one.previous_attempts[1] + two.previous_attempts[1];
        assert_eq!(second, failed.total_calls());
        let first = [&failed, &one, &two].map(|seen| seen.previous_attempts[0]);
        assert_eq!(first.iter().sum::<u64>(), 60);
    }
}

#[tokio::test]
async fn the_call_that_fails_for_good_tells_each_attempt() {
    let servers = servers(3).await;
    for server in &servers {
        server.behave(Behaviour::fail(Code::ResourceExhausted));
    }
    let mut client = Client::new(channel(&servers, &retrying(3)).await);
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "scripted: ResourceExhausted");
    assert_eq!(shares(&servers), [1, 1, 1], "each was tried once");
    let story = status.metadata().get("evenkeel-attempts").unwrap();
    let mut attempts: Vec<_> = story.to_str().unwrap().split("; ").collect();
    for (number, attempt) in (1..).zip(&attempts) {
        assert!(attempt.starts_with(&format!("{number} ")), "{attempt}");
        assert!(attempt.ends_with(" RESOURCE_EXHAUSTED"), "{attempt}");
    }
    attempts.sort_by_key(|attempt| attempt.split(' ').nth(1));
    let mut names = addresses(&servers);
    names.sort();
    for (attempt, name) in attempts.iter().zip(&names) {
        assert_eq!(attempt.split(' ').nth(1), Some(name.as_str()));
    }
}

#[tokio::test]
async fn attempts_that_lose_their_connections_are_told_with_a_typed_source() {
    let mut servers = servers(2).await;
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let mut client = Client::new(channel(&servers, &retrying(2)).await);
    let call = async { call(&mut client).await.unwrap_err() };
    let kill = async {
        for number in 0..2 {
            let hit = async {
                loop {
                    match shares(&servers)[..] {
                        [0, 0] => {}
                        [0, _] if number == 0 => return 1,
                        [_, 0] if number == 0 => return 0,
                        [1, 1] => return servers.iter().position(UserServer::is_running).unwrap(),
                        _ => {}
                    }
                    tokio::task::yield_now().await;
                }
            };
            let hit = within("an attempt", hit).await;
            servers[hit].kill().await;
        }
    };
    let (status, ()) = tokio::join!(call, kill);
    assert_eq!(status.code(), Code::Unavailable);
    let failed = cause::<CallFailed>(&status).expect("it tells the attempts");
    let told: Vec<_> = failed
        .attempts
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(told, [1, 2]);
    for name in addresses(&servers) {
        assert!(status.message().contains(&name), "{status}");
    }
}

#[tokio::test]
async fn a_code_that_is_not_listed_is_not_tried_again() {
    let servers = servers(2).await;
    let mut client = Client::new(channel(&servers, &retrying(4)).await);
    for code in [Code::Internal, Code::Unknown, Code::Aborted, Code::NotFound] {
        let before = shares(&servers).iter().sum::<u64>();
        for server in &servers {
            server.behave(Behaviour::fail(code));
        }
        let status = call(&mut client).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(shares(&servers).iter().sum::<u64>() - before, 1, "{code:?}");
        assert!(status.metadata().get("evenkeel-attempts").is_none());
    }
}

#[tokio::test]
async fn without_a_retry_policy_what_a_server_has_seen_is_not_tried_again() {
    let servers = servers(2).await;
    let mut client = Client::new(channel(&servers, crate::ROUND_ROBIN).await);
    for server in &servers {
        server.behave(Behaviour::fail(Code::Unavailable));
    }
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(shares(&servers).iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_stream_of_requests_is_sent_again_from_its_first_message() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    let mut client = Client::new(channel(&servers, &retrying(2)).await);
    for _ in 0..4 {
        let users = (0..5).map(|_| ImportUsersRequest::default());
        let import = client.import_users(tokio_stream::iter(users));
        let response = within("the count", import).await.unwrap();
        assert_eq!(served_by(&response), servers[1].name());
        assert_eq!(response.into_inner().stored, 5);
    }
    let [failing, other] = [servers[0].seen(), servers[1].seen()];
    assert_eq!(other.messages_in, 4 * 5);
    assert!(failing.total_calls() > 0);
    assert_eq!(other.previous_attempts[1], failing.total_calls());
}

#[tokio::test]
async fn a_request_larger_than_what_is_kept_is_sent_but_not_again() {
    let servers = servers(2).await;
    let mut client = Client::new(channel(&servers, &retrying(4)).await);
    for (bytes, attempts) in [(100 << 10, 4), (1 << 20, 1)] {
        let user = User {
            avatar: "x".repeat(bytes),
            ..User::default()
        };
        let import = || {
            let user = Some(user.clone());
            tokio_stream::once(ImportUsersRequest { user })
        };
        let response = within("the count", client.import_users(import())).await;
        assert_eq!(response.unwrap().into_inner().stored, 1);

        let before = shares(&servers).iter().sum::<u64>();
        for server in &servers {
            server.behave(Behaviour::fail(Code::Unavailable));
        }
        let failed = within("a failure", client.import_users(import())).await;
        assert_eq!(failed.unwrap_err().code(), Code::Unavailable);
        let sent = shares(&servers).iter().sum::<u64>() - before;
        assert_eq!(sent, attempts, "{bytes} bytes");
        for server in &servers {
            server.behave(Behaviour::Answer);
        }
    }
}

#[tokio::test]
async fn a_bidirectional_call_is_tried_again_until_its_response_begins_and_never_after() {
    let servers = servers(2).await;
    let mut client = Client::new(channel(&servers, &retrying(2)).await);
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    for _ in 0..4 {
        let users = (0..3).map(|_| SyncUsersRequest::default());
        let sync = client.sync_users(tokio_stream::iter(users));
        let response = within("a response", sync).await.unwrap();
        assert_eq!(served_by(&response), servers[1].name());
        let mut users = response.into_inner();
        for _ in 0..3 {
            within("an echo", users.message()).await.unwrap().unwrap();
        }
        assert!(users.message().await.unwrap().is_none());
    }
    let failed = servers[0].seen().total_calls();
    assert!(failed > 0);
    assert_eq!(servers[1].seen().previous_attempts[1], failed);

    let status = tonic::Status::unavailable("in the middle");
    for server in &servers {
        server.behave(Behaviour::FailAfter(2, status.clone()));
    }
    let before = shares(&servers).iter().sum::<u64>();
    let users = (0..3).map(|_| SyncUsersRequest::default());
    let sync = client.sync_users(tokio_stream::iter(users));
    let mut users = within("a response", sync).await.unwrap().into_inner();
    for _ in 0..2 {
        within("an echo", users.message()).await.unwrap().unwrap();
    }
    let status = within("the end", users.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "in the middle")
    );
    assert_eq!(shares(&servers).iter().sum::<u64>() - before, 1);
}

#[tokio::test]
async fn a_response_stream_that_breaks_is_not_begun_again() {
    let servers = servers(2).await;
    for server in &servers {
        server.behave(Behaviour::FailAfter(
            2,
            tonic::Status::unavailable("broken"),
        ));
    }
    let mut client = Client::new(channel(&servers, &retrying(4)).await);
    let mut users = list(&mut client, 10).await.into_inner();
    for id in 1..=2 {
        let user = within("a user", users.message()).await.unwrap().unwrap();
        assert_eq!(user.user.unwrap().id, id);
    }
    let status = within("the end", users.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(shares(&servers).iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_throttled_channel_sends_first_attempts_only_until_calls_succeed_again() {
    let servers = servers(1).await;
    let config = retrying(4).replacen(
        '{',
        r#"{"retryThrottling": {"maxTokens": 4, "tokenRatio": 1},"#,
        1,
    );
    let mut client = Client::new(channel(&servers, &config).await);
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    // 4 tokens, one per failure; more than 2 allow a retry.
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let before = servers[0].seen().total_calls();
        call(&mut client).await.unwrap_err();
        attempts.push(servers[0].seen().total_calls() - before);
    }
    assert_eq!(attempts, [2, 1, 1]);

    servers[0].behave(Behaviour::Answer);
    crate::calls(&mut client, 4).await.unwrap();
    servers[0].fail_next(1, Code::Unavailable);
    call(&mut client).await.unwrap();
    assert_eq!(servers[0].seen().retries(), 2);
}

#[tokio::test]
async fn each_attempt_carries_the_callers_metadata_and_the_time_that_is_left() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    let mut client = Client::new(channel(&servers, &retrying(2)).await);
    while servers[1].seen().retries() == 0 {
        let mut request = Request::new(GetByIdRequest { id: 1 });
        request.set_timeout(Duration::from_secs(60));
        for value in ["a", "b"] {
            request
                .metadata_mut()
                .append("x-trace", value.parse().unwrap());
        }
        within("an answer", client.get_by_id(request))
            .await
            .unwrap();
    }
    let left = |server: &UserServer| {
        let request = server.seen().last_request.unwrap();
        let traces: Vec<_> = request.headers.get_all("x-trace").iter().collect();
        assert_eq!(traces, ["a", "b"]);
        let text = request.headers["grpc-timeout"].to_str().unwrap().to_owned();
        let (count, unit) = text.split_at(text.len() - 1);
        let count = count.parse().unwrap();
        match unit {
            "u" => Duration::from_micros(count),
            "m" => Duration::from_millis(count),
            other => panic!("{other}"),
        }
    };
    let (first, second) = (left(&servers[0]), left(&servers[1]));
    assert!(first <= Duration::from_secs(60));
    // The pause between them is 10 ms, less 20 % of jitter; a millisecond is what is written.
    let pause = Duration::from_millis(8 - 1);
    assert!(second <= first - pause, "{first:?}, then {second:?}");
}

#[tokio::test]
async fn a_call_whose_connection_breaks_fails_over() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::Hang);
    let proxy = FaultProxy::start(servers[0].socket_address())
        .await
        .unwrap();
    let channel = builder([
        proxy.address().to_string(),
        servers[1].address().to_string(),
    ])
    .service_config(retrying(2))
    .build()
    .unwrap();
    all_ready(&channel, 2).await;
    let (mut one, mut other) = (Client::new(channel.clone()), Client::new(channel));
    // One of two calls in a row goes through the proxy.
    let calls = async { tokio::join!(call(&mut one), call(&mut other)) };
    let cut = async {
        servers[0]
            .wait_for("a call", |seen| seen.in_flight == 1)
            .await;
        proxy.set(Fault::Refuse).await;
        proxy.cut().await;
    };
    let ((one, other), ()) = tokio::join!(calls, cut);
    assert_eq!(one.unwrap(), servers[1].name());
    assert_eq!(other.unwrap(), servers[1].name());
    let seen = servers[1].seen();
    assert_eq!((seen.total_calls(), seen.retries()), (2, 1));
}

#[tokio::test]
async fn responses_name_their_endpoint_if_asked_to_and_after_a_retry_always() {
    let servers = servers(2).await;
    let first = channel(&servers, &retrying(2)).await;
    let builder = builder(addresses(&servers)).name_endpoints(true);
    let named = builder.service_config(retrying(2)).build().unwrap();
    all_ready(&named, 2).await;
    let answered = async |channel: &Channel| {
        let mut client = Client::new(channel.clone());
        let response = client.get_by_id(GetByIdRequest { id: 7 }).await.unwrap();
        let name = served_by(&response);
        let server = servers.iter().find(|server| server.name() == name).unwrap();
        let answered = response.extensions().get::<Answered>().cloned();
        answered.map(|answered| {
            let endpoint = answered.endpoint.unwrap();
            assert_eq!(endpoint.to_string(), server.address().to_string());
            answered.attempts
        })
    };
    assert_eq!(answered(&first).await, None);
    assert_eq!(answered(&named).await, Some(1));

    servers[0].behave(Behaviour::fail(Code::Unavailable));
    for channel in [&first, &named] {
        let attempts = [answered(channel).await, answered(channel).await];
        assert!(attempts.contains(&Some(2)), "{attempts:?}");
    }
}
