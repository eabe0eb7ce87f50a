//! Endpoints that are not there: calls go around them, wait for them, or say what is wrong.

use evenkeel::errors::{NoEndpoint, cause};
use evenkeel::{BuildError, Channel, ConnectivityState, MemoryRegistry, WaitForReady};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Fault, FaultProxy, UserServer, port, within};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use crate::load::Load;
use crate::{COURSE, Client, ROUND_ROBIN, builder, call, calls, config, servers, until};

/// An address where nothing listens.
fn dead() -> String {
    format!("127.0.0.1:{}", port::free().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_live_and_one_dead_endpoint_fail_no_call_without_a_retry_policy() {
    let live = UserServer::start().await.unwrap();
    // It refuses, says nothing, or hangs up: nothing may cost a call, from the very first on.
    let silent = FaultProxy::start(live.socket_address()).await.unwrap();
    silent.set(Fault::Pause).await;
    let rude = FaultProxy::start(dead().parse().unwrap()).await.unwrap();
    let proxies = [&silent, &rude].map(|proxy| proxy.address().to_string());
    for dead in proxies.into_iter().chain([dead()]) {
        let before = live.seen().total_calls();
        let channel = builder([live.address().to_string(), dead])
            .service_config(ROUND_ROBIN)
            .build()
            .unwrap();
        calls(&mut Client::new(channel.clone()), 500).await.unwrap();
        let load = Load::start(&channel, 8);
        load.pass(500).await;
        let (done, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(live.seen().total_calls() - before, 500 + done);
    }
}

#[tokio::test]
async fn with_all_endpoints_dead_a_call_names_each_and_its_last_error() {
    let (one, other) = (dead(), dead());
    for policy in [
        "round_robin",
        "pick_first",
        "least_request",
        "custom_weighted_round_robin",
    ] {
        let channel = builder([&one, &other])
            .service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
            ))
            .build()
            .unwrap();
        let status = call(&mut Client::new(channel.clone())).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{policy}: {status}");
        let error = cause::<NoEndpoint>(&status).expect("it says which endpoints there are");
        assert_eq!(error.endpoints.len(), 2, "{policy}");
        for (named, address) in error.endpoints.iter().zip([&one, &other]) {
            assert_eq!(&named.endpoint.to_string(), address);
            let last = named.error.as_deref().unwrap_or_default().to_lowercase();
            assert!(last.contains("connection refused"), "{policy}: {last}");
            assert!(status.message().contains(address), "{policy}: {status}");
        }
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    }
}

#[tokio::test]
async fn without_any_endpoint_a_call_says_what_discovery_said() {
    let channel = Channel::builder("memory:///user-service")
        .registry(&MemoryRegistry::new())
        .service_config(COURSE)
        .build()
        .unwrap();
    let status = call(&mut Client::new(channel)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let error = cause::<NoEndpoint>(&status).expect("it says that there are none");
    assert!(error.endpoints.is_empty());
    let text = status.message();
    assert!(text.starts_with("no endpoints; discovery: "), "{text}");
    assert!(text.contains("user-service"), "{text}");
}

#[tokio::test]
async fn an_authority_that_nothing_would_use_is_refused() {
    let etcd = evenkeel::etcd::EtcdConfig::default();
    let told_twice = Channel::builder("etcd://10.0.0.1:2379/user-service").etcd(etcd);
    for builder in [
        told_twice,
        Channel::builder("static://10.0.0.1:80/10.0.0.2:80"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(
            matches!(error, BuildError::UnusedAuthority { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("10.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn without_etcd_a_call_says_that_etcd_is_not_there() {
    let dead = dead();
    let etcd = evenkeel::etcd::EtcdConfig {
        endpoints: vec![format!("http://{dead}")],
        report_after: std::time::Duration::from_millis(50),
        ..Default::default()
    };
    let builder = Channel::builder("etcd:///user-service").etcd(etcd);
    let builder = builder.service_config(COURSE);
    let channel = builder.build().unwrap();
    let status = call(&mut Client::new(channel)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let text = status.message();
    let start = format!("no endpoints; discovery: etcd http://{dead} unavailable");
    assert!(text.starts_with(&start), "{text}");
}

#[tokio::test]
async fn a_call_that_waits_for_ready_waits_for_a_server_that_starts_later() {
    let mut server = UserServer::start().await.unwrap();
    server.kill().await;
    let address = server.address();
    let plain = builder([&address]).service_config(ROUND_ROBIN);
    let waiting =
        builder([&address]).service_config(config("round_robin", r#""waitForReady": true"#));

    // By the caller's wish, and by the service config's.
    let asked = plain.build().unwrap();
    let configured = waiting.build().unwrap();
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.extensions_mut().insert(WaitForReady(true));
    let (mut one, mut other) = (Client::new(asked.clone()), Client::new(configured.clone()));
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { one.get_by_id(request).await.map(drop) });
    waiting.spawn(async move { call(&mut other).await.map(drop) });

    for channel in [&asked, &configured] {
        let failing = |it: &Channel| it.state() == ConnectivityState::TransientFailure;
        until(channel, "TRANSIENT_FAILURE", failing).await;
    }
    let status = call(&mut Client::new(asked)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // The caller's wish also wins the other way round.
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.extensions_mut().insert(WaitForReady(false));
    let mut client = Client::new(configured);
    let hurried = within("a failure", client.get_by_id(request)).await;
    assert_eq!(hurried.unwrap_err().code(), Code::Unavailable);

    server.restart().await.unwrap();
    for result in within("the waiting calls", waiting.join_all()).await {
        result.unwrap();
    }
    assert_eq!(server.seen().total_calls(), 2);
}

#[tokio::test]
async fn calls_that_wait_by_the_hundred_all_go_out_when_an_endpoint_is_ready() {
    let mut server = UserServer::start().await.unwrap();
    server.kill().await;
    let channel = builder([server.address()])
        .service_config(config("round_robin", r#""waitForReady": true"#))
        .build()
        .unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..500 {
        let mut client = Client::new(channel.clone());
        waiting.spawn(async move { call(&mut client).await.map(drop) });
    }
    let failing = |it: &Channel| it.state() == ConnectivityState::TransientFailure;
    until(&channel, "TRANSIENT_FAILURE", failing).await;
    let mut ready = Box::pin(channel.wait_until_ready());
    assert!((&mut ready).now_or_never().is_none());
    server.restart().await.unwrap();
    within("READY", ready).await.unwrap();
    for result in within("the waiting calls", waiting.join_all()).await {
        result.unwrap();
    }
    let seen = server.seen();
    assert_eq!((seen.total_calls(), seen.accepted), (500, 1));
}

#[tokio::test]
async fn a_killed_and_restarted_server_is_called_again_and_only_its_own_calls_fail() {
    let mut servers = servers(2).await;
    let channel = crate::channel(&servers, ROUND_ROBIN).await;
    let mut client = Client::new(channel.clone());
    for _ in 0..3 {
        servers[0].kill().await;
        let lost = state_lost(&channel, &servers[0]);
        lost.await;
        calls(&mut client, 20).await.unwrap();
        servers[0].restart().await.unwrap();
        crate::all_ready(&channel, 2).await;
        let before = crate::shares(&servers);
        calls(&mut client, 20).await.unwrap();
        assert_eq!(crate::since(&servers, &before), [10, 10]);
    }
}

#[track_caller]
fn state_lost<'a>(channel: &'a Channel, server: &'a UserServer) -> impl Future<Output = ()> + 'a {
    until(channel, "the loss is seen", |channel| {
        let state = crate::state_of(channel, server).unwrap().0;
        state != ConnectivityState::Ready
    })
}

#[tokio::test]
async fn a_bad_service_config_is_refused_with_its_json_path_and_nothing_starts() {
    for (json, path) in [
        (
            r#"{"loadBalancingConfig":[{"round_robbin":{}}]}"#,
            "$.loadBalancingConfig",
        ),
        (
            r#"{"methodConfig":[{"name":[{"service":"UserService"}],"timeout":"100ms"}]}"#,
            "$.methodConfig[0].timeout",
        ),
        (
            r#"{"methodConfig":[{"name":[{"service":"UserService"}],"retryPolicy":{"maxAttempts":1,
                "initialBackoff":"0.01s","maxBackoff":"0.1s","backoffMultiplier":2.0,
                "retryableStatusCodes":["UNAVAILABLE"]}}]}"#,
            "$.methodConfig[0].retryPolicy.maxAttempts",
        ),
        ("{", "$: malformed JSON"),
    ] {
        let error = builder(["127.0.0.1:1"]).service_config(json).build();
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("service config: "), "{text}");
        assert!(text.contains(path), "{text}");
    }
    assert_eq!(evenkeel_testkit::tasks::alive(), 0);
}
