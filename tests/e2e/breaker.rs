//! Breakers: an endpoint that keeps failing gets no calls for a while, and its refusals cost none.

use std::time::Duration;

use evenkeel::errors::{BreakerOpen, NoEndpoint, cause};
use evenkeel::resilience::breaker::{Classifier, Verdict};
use evenkeel::{
    AdaptiveConfig, BreakerConfig, BreakerState, Channel, ConnectivityState, FailureRatioConfig,
};
use evenkeel_testkit::{Behaviour, UserServer};
use tonic::Code;

use crate::load::Load;
use crate::{
    Client, ROUND_ROBIN, addresses, all_ready, builder, call, calls, config, list, servers, shares,
    since, state_of, until,
};

/// Trips after three failures; `open` is how long it refuses.
fn three(open: Duration) -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: 3,
        open_time: open,
        max_open_time: open,
        ..BreakerConfig::default()
    }
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);

async fn channel(servers: &[UserServer], config: &str, breaker: BreakerConfig) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let channel = builder.breaker(breaker).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

#[track_caller]
fn until_breaker<'a>(
    channel: &'a Channel,
    server: &'a UserServer,
    state: BreakerState,
) -> impl Future<Output = ()> + 'a {
    until(channel, "a state of the breaker", move |channel| {
        state_of(channel, server).unwrap().1 == state
    })
}

#[tokio::test]
async fn an_endpoint_that_fails_three_times_leaves_the_rotation() {
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let servers = servers(3).await;
        let channel = channel(&servers, ROUND_ROBIN, three(LONG)).await;
        let mut client = Client::new(channel.clone());
        servers[0].behave(Behaviour::fail(code));
        let mut failed = 0;
        while state_of(&channel, &servers[0]).unwrap().1 == BreakerState::Closed {
            failed += u32::from(call(&mut client).await.is_err());
        }
        assert_eq!(failed, 3);
        assert_eq!(
            state_of(&channel, &servers[0]),
            Some((ConnectivityState::TransientFailure, BreakerState::Open))
        );
        assert_eq!(channel.state(), ConnectivityState::Ready);
        let error = channel.endpoints()[0].error.clone().unwrap();
        let open = cause::<BreakerOpen>(&*error).expect("the reason is the breaker");
        assert!(open.tripped_by.contains("3 consecutive failures"), "{open}");

        let before = shares(&servers);
        calls(&mut client, 100).await.unwrap();
        assert_eq!(since(&servers, &before), [0, 50, 50]);
        assert_eq!(servers[0].seen().connections, 1, "the connection stays");
    }
}

#[tokio::test]
async fn it_comes_back_when_a_probe_succeeds() {
    let servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN, three(SHORT)).await;
    let mut client = Client::new(channel.clone());
    servers[0].fail_next(3, Code::ResourceExhausted);
    while servers[0].seen().total_calls() < 3 {
        // Every other call is one of the three that fail.
        let _ = call(&mut client).await;
    }
    until_breaker(&channel, &servers[0], BreakerState::HalfOpen).await;
    while state_of(&channel, &servers[0]).unwrap().1 != BreakerState::Closed {
        call(&mut client).await.unwrap();
    }
    all_ready(&channel, 2).await;
    let before = shares(&servers);
    calls(&mut client, 20).await.unwrap();
    assert_eq!(since(&servers, &before), [10, 10]);
    assert_eq!(servers[0].seen().accepted, 1);
}

#[tokio::test]
async fn it_comes_back_when_all_it_serves_are_streams_that_do_not_end() {
    let servers = servers(1).await;
    let channel = channel(&servers, ROUND_ROBIN, three(SHORT)).await;
    let mut client = Client::new(channel.clone());
    servers[0].fail_next(3, Code::Unavailable);
    for _ in 0..3 {
        call(&mut client).await.unwrap_err();
    }
    until_breaker(&channel, &servers[0], BreakerState::HalfOpen).await;
    servers[0].close_gate();
    let probe = list(&mut client, 3).await;
    until_breaker(&channel, &servers[0], BreakerState::Closed).await;
    let others = [list(&mut client, 3).await, list(&mut client, 3).await];
    let seen = servers[0]
        .wait_for("the streams", |seen| seen.in_flight == 3)
        .await;
    assert_eq!(seen.total_calls(), 6, "none has ended");
    drop((probe, others));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_cost_no_call_under_load() {
    let servers = servers(3).await;
    let channel = channel(&servers, ROUND_ROBIN, three(SHORT)).await;
    servers[0].behave(Behaviour::fail(Code::ResourceExhausted));
    let load = Load::start(&channel, 8);
    // It trips, probes and trips again, many times.
    servers[0]
        .wait_for("probes", |seen| seen.total_calls() >= 20)
        .await;
    let (done, failures) = load.stop().await;
    let answered = servers[0].seen().total_calls();
    assert!(
        done > 2 * answered,
        "{answered} of {done} went to the failing one"
    );
    assert_eq!(
        failures.len() as u64,
        answered,
        "only those it answered itself"
    );
    for status in failures {
        assert_eq!(status.message(), "scripted: ResourceExhausted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_retries_not_even_a_probe_costs_a_call() {
    let servers = servers(3).await;
    let method = r#""retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s",
        "maxBackoff": "0.1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}"#;
    let channel = channel(&servers, &config("round_robin", method), three(SHORT)).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    let load = Load::start(&channel, 8);
    servers[0]
        .wait_for("probes", |seen| seen.total_calls() >= 20)
        .await;
    let (_, failures) = load.stop().await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(servers[0].seen().retries(), 0);
}

#[tokio::test]
async fn when_every_breaker_is_open_a_call_says_so_at_once() {
    let servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN, three(LONG)).await;
    let mut client = Client::new(channel.clone());
    for server in &servers {
        server.behave(Behaviour::fail(Code::Unavailable));
    }
    for _ in 0..6 {
        call(&mut client).await.unwrap_err();
    }
    for server in &servers {
        until_breaker(&channel, server, BreakerState::Open).await;
    }
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    for server in &servers {
        let named = format!("circuit breaker of {} is open", server.address());
        assert!(status.message().contains(&named), "{status}");
    }
    assert_eq!(shares(&servers), [3, 3]);
    let open = cause::<BreakerOpen>(&status).expect("the refusal is typed");
    assert!(addresses(&servers).contains(&open.endpoint), "{open}");
    let all = cause::<NoEndpoint>(&status).expect("and so are all of them");
    for one in &all.endpoints {
        let breaker = one.breaker.as_ref().expect("its breaker is what is wrong");
        assert_eq!(breaker.endpoint, one.endpoint.to_string());
        assert!(breaker.tripped_by.starts_with("UNAVAILABLE: scripted"));
    }
}

#[tokio::test]
async fn answers_of_a_server_that_works_never_trip_it() {
    let servers = servers(1).await;
    let channel = channel(&servers, ROUND_ROBIN, three(LONG)).await;
    let mut client = Client::new(channel.clone());
    for code in [
        Code::NotFound,
        Code::InvalidArgument,
        Code::PermissionDenied,
        Code::Aborted,
    ] {
        servers[0].behave(Behaviour::fail(code));
        for _ in 0..5 {
            assert_eq!(call(&mut client).await.unwrap_err().code(), code);
        }
    }
    let closed = (ConnectivityState::Ready, BreakerState::Closed);
    assert_eq!(state_of(&channel, &servers[0]), Some(closed));
}

#[tokio::test]
async fn a_server_that_fails_every_other_call_trips_by_its_ratio() {
    let servers = servers(2).await;
    let ratio = BreakerConfig {
        failure_ratio: Some(FailureRatioConfig {
            minimum_calls: 10,
            window: LONG,
            ..FailureRatioConfig::default()
        }),
        open_time: LONG,
        ..BreakerConfig::ratio(0.5)
    };
    let channel = channel(&servers, ROUND_ROBIN, ratio).await;
    let mut client = Client::new(channel.clone());
    let every_other = tonic::Status::unavailable("every other call");
    servers[0].behave(Behaviour::FailEach(2, every_other));
    while state_of(&channel, &servers[0]).unwrap().1 == BreakerState::Closed {
        // Every other one of its calls fails.
        let _ = call(&mut client).await;
    }
    let seen = servers[0].seen().total_calls();
    assert!((10..=12).contains(&seen), "{seen}");
    let breaker = channel.breaker(channel.endpoints()[0].id).unwrap();
    let why = breaker.status().tripped_by.unwrap();
    assert!(why.starts_with("UNAVAILABLE: every other call ("), "{why}");
    calls(&mut client, 20).await.unwrap();
}

fn adaptive() -> BreakerConfig {
    BreakerConfig {
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 10,
            window: LONG,
            ..AdaptiveConfig::default()
        }),
        ..BreakerConfig::adaptive()
    }
}

#[tokio::test]
async fn what_a_failing_endpoint_sheds_goes_elsewhere_and_it_stays_ready() {
    let servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN, adaptive()).await;
    let mut client = Client::new(channel.clone());
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    let mut failed = 0;
    for _ in 0..400 {
        failed += u64::from(call(&mut client).await.is_err());
    }
    let seen = servers[0].seen().total_calls();
    assert_eq!(failed, seen, "a refusal costs no call");
    // Ten before there are enough of them, and then ever fewer: about ln(200 / 10) times one.
    assert!((10..60).contains(&seen), "{seen}");
    let ready = (ConnectivityState::Ready, BreakerState::Closed);
    assert_eq!(state_of(&channel, &servers[0]), Some(ready));
    let status = channel.breaker(channel.endpoints()[0].id).unwrap().status();
    assert!(status.shed > 0.9, "{status:?}");
    let counts = status.adaptive.unwrap();
    assert_eq!((counts.failures, counts.successes), (seen, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_what_is_shed_costs_no_call_and_waits_for_nothing() {
    let servers = servers(3).await;
    let mut breaker = adaptive();
    if let Some(adaptive) = &mut breaker.adaptive {
        // It forgets all the time.
        adaptive.window = SHORT;
    }
    let channel = channel(&servers, ROUND_ROBIN, breaker).await;
    servers[0].behave(Behaviour::fail(Code::ResourceExhausted));
    let load = Load::start(&channel, 8);
    servers[0]
        .wait_for("calls of several windows", |seen| seen.total_calls() >= 50)
        .await;
    load.pass(200).await;
    let (_, failures) = load.stop().await;
    assert_eq!(failures.len() as u64, servers[0].seen().total_calls());
    for status in failures {
        assert_eq!(status.message(), "scripted: ResourceExhausted");
    }
    let status = channel.breaker(channel.endpoints()[0].id).unwrap().status();
    assert_eq!((status.state, status.changes), (BreakerState::Closed, 0));
}

#[tokio::test]
async fn the_only_endpoint_sheds_at_once_and_typed_even_from_who_waits_for_ready() {
    let servers = servers(1).await;
    let method = r#""waitForReady": true, "retryPolicy": {"maxAttempts": 3, "initialBackoff": "600s",
        "maxBackoff": "600s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}"#;
    let breaker = BreakerConfig {
        // Not retried by the policy.
        failures: [Code::Internal].into_iter().collect(),
        ..adaptive()
    };
    let channel = channel(&servers, &config("round_robin", method), breaker).await;
    let mut client = Client::new(channel.clone());
    servers[0].behave(Behaviour::fail(Code::Internal));
    let status = loop {
        let status = call(&mut client).await.unwrap_err();
        if status.code() != Code::Internal {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    let refusal = cause::<BreakerOpen>(&status).unwrap();
    assert_eq!(refusal.endpoint, servers[0].address().to_string());
    assert!(refusal.shed.is_some_and(|share| share > 0.8), "{refusal}");
    assert_eq!(channel.state(), ConnectivityState::Ready);
}

#[tokio::test]
async fn a_breaker_is_opened_and_closed_by_hand_and_watched() {
    let servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN, three(LONG)).await;
    let mut client = Client::new(channel.clone());
    let first = channel.endpoints()[0].id;
    let breaker = channel.breaker(first).unwrap();
    assert_eq!(breaker.name(), servers[0].address().to_string());
    let mut changes = breaker.watch();

    breaker.hold_open();
    until_breaker(&channel, &servers[0], BreakerState::Open).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [0, 10]);
    assert!(changes.borrow_and_update().held);

    breaker.hold_closed();
    until_breaker(&channel, &servers[0], BreakerState::Closed).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    for _ in 0..20 {
        // Every other one fails.
        let _ = call(&mut client).await;
    }
    assert_eq!(breaker.status().state, BreakerState::Closed);
    assert!(changes.borrow_and_update().held);

    breaker.reset();
    while breaker.status().state == BreakerState::Closed {
        let _ = call(&mut client).await;
    }
    let status = changes.borrow_and_update().clone();
    assert_eq!((status.state, status.held), (BreakerState::Open, false));
    let why = "UNAVAILABLE: scripted: Unavailable (3 consecutive failures)";
    assert_eq!(status.tripped_by.as_deref(), Some(why));
    assert!(channel.breaker(evenkeel::EndpointId(u64::MAX)).is_none());
}

#[tokio::test]
async fn a_classifier_tells_a_quota_from_an_overload() {
    let servers = servers(1).await;
    let breaker = three(LONG);
    let classifier = Classifier::new(move |failure| match failure.message {
        "quota" => Verdict::Success,
        _ => breaker.verdict(failure.code.into()),
    });
    let builder = builder(addresses(&servers)).breaker(breaker);
    let channel = builder.breaker_classifier(classifier).build().unwrap();
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    for (message, expected) in [
        ("quota", BreakerState::Closed),
        ("full", BreakerState::Open),
    ] {
        let status = tonic::Status::resource_exhausted(message);
        servers[0].behave(Behaviour::Fail(status));
        for _ in 0..3 {
            call(&mut client).await.unwrap_err();
        }
        until_breaker(&channel, &servers[0], expected).await;
    }
}
