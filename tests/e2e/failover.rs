//! `FailoverConfig`: other frameworks' failover settings, on real servers.

use std::time::Duration;

use evenkeel::{BreakerState, Channel, ConnectivityState, ErrorClass, FailoverConfig};
use evenkeel_testkit::{Behaviour, UserServer};
use tonic::Code;

use crate::{
    Client, ROUND_ROBIN, addresses, all_ready, builder, call, calls, config, servers, shares,
    since, state_of, until,
};

/// As where the settings come from, but for times.
fn failover() -> FailoverConfig {
    FailoverConfig {
        retry_interval: Duration::from_millis(5),
        failure_threshold: 3,
        reset_interval: Duration::from_millis(50),
        ..FailoverConfig::default()
    }
}

async fn channel(servers: &[UserServer], config: &str, failover: FailoverConfig) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    let channel = builder.failover(failover).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

#[tokio::test]
async fn a_refused_connection_costs_no_call() {
    let mut servers = servers(2).await;
    servers[0].kill().await;
    let builder = builder(addresses(&servers)).service_config(ROUND_ROBIN);
    let channel = builder.failover(failover()).build().unwrap();
    calls(&mut Client::new(channel), 20).await.unwrap();
    assert_eq!(shares(&servers), [0, 20]);
}

#[tokio::test]
async fn a_connection_that_is_lost_and_then_refused_costs_no_call() {
    let mut servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN, failover()).await;
    servers[0].behave(Behaviour::Hang);
    let mut client = Client::new(channel.clone());
    let mut other = client.clone();
    // Two in a row, so that one of them hangs.
    let running = async { tokio::join!(call(&mut client), call(&mut other)) };
    let kill = async {
        servers[0]
            .wait_for("a call", |seen| seen.in_flight == 1)
            .await;
        servers[0].kill().await;
    };
    let ((one, two), ()) = tokio::join!(running, kill);
    assert_eq!(one.unwrap(), servers[1].name());
    assert_eq!(two.unwrap(), servers[1].name());
    calls(&mut Client::new(channel), 20).await.unwrap();
    assert_eq!(shares(&servers), [1, 22]);
}

#[tokio::test]
async fn only_the_classes_that_are_named_are_tried_again() {
    for (code, class) in [
        (Code::DeadlineExceeded, ErrorClass::Timeout),
        (Code::Unavailable, ErrorClass::ServiceUnavailable),
        (Code::ResourceExhausted, ErrorClass::Overloaded),
        (Code::Aborted, ErrorClass::Code(Code::Aborted)),
    ] {
        let servers = servers(2).await;
        servers[0].behave(Behaviour::fail(code));
        let named = FailoverConfig {
            retryable_errors: vec![class],
            failure_threshold: 0,
            ..failover()
        };
        let channel_of = channel(&servers, ROUND_ROBIN, named.clone()).await;
        calls(&mut Client::new(channel_of), 10).await.unwrap();

        let unnamed = FailoverConfig {
            retryable_errors: vec![ErrorClass::Code(Code::DataLoss)],
            ..named
        };
        let mut client = Client::new(channel(&servers, ROUND_ROBIN, unnamed).await);
        let [one, two] = [call(&mut client).await, call(&mut client).await];
        assert!(one.is_err() ^ two.is_err(), "one of two fails: {code:?}");
    }
}

#[tokio::test]
async fn the_failure_threshold_takes_an_endpoint_out_and_the_success_threshold_lets_it_back_in() {
    let servers = servers(2).await;
    let long = FailoverConfig {
        reset_interval: Duration::from_secs(600),
        ..failover()
    };
    for (reset, failover) in [(false, long), (true, failover())] {
        let channel = channel(&servers, ROUND_ROBIN, failover).await;
        let mut client = Client::new(channel.clone());
        servers[0].behave(Behaviour::Answer);
        let before = shares(&servers);
        servers[0].fail_next(3, Code::Unavailable);
        let failing = &servers[0];
        let breaker = || state_of(&channel, failing).unwrap().1;
        // Failover hides all of it from the caller.
        while breaker() == BreakerState::Closed {
            call(&mut client).await.unwrap();
        }
        assert_eq!(since(&servers, &before)[0], 3, "the threshold");
        if !reset {
            let before = shares(&servers);
            calls(&mut client, 20).await.unwrap();
            assert_eq!(since(&servers, &before), [0, 20]);
            continue;
        }
        until(&channel, "the reset interval is over", |channel| {
            state_of(channel, failing) == Some((ConnectivityState::Ready, BreakerState::HalfOpen))
        })
        .await;
        let before = shares(&servers);
        while breaker() != BreakerState::Closed {
            call(&mut client).await.unwrap();
        }
        assert_eq!(since(&servers, &before)[0], 2, "the success threshold");
    }
}

#[tokio::test]
async fn excepted_methods_are_not_made_twice() {
    let servers = servers(2).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    for (except, is_retried) in [
        ("UserService/GetById", false),
        ("UserService", false),
        ("UserService/ListUsers", true),
        ("user.UserService", true),
    ] {
        let excepting = FailoverConfig {
            except: vec![except.parse().unwrap()],
            failure_threshold: 0,
            ..failover()
        };
        let mut client = Client::new(channel(&servers, ROUND_ROBIN, excepting).await);
        let [one, two] = [call(&mut client).await, call(&mut client).await];
        assert_eq!(one.is_ok() && two.is_ok(), is_retried, "{except}");
    }
}

#[tokio::test]
async fn an_outage_stops_its_retries_unless_the_throttle_is_off_or_another() {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    let own = r#"{"loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 6, "tokenRatio": 0.1}}"#;
    let default = failover().throttle;
    for (config, throttle, retries) in [
        // Of 100 tokens more than 50 must be left.
        (ROUND_ROBIN, default, 33),
        (ROUND_ROBIN, None, 80),
        (own, default, 2),
        (own, None, 2),
    ] {
        let throttled = FailoverConfig {
            throttle,
            retry_interval: Duration::from_millis(1),
            failure_threshold: 0,
            ..failover()
        };
        let mut client = Client::new(channel(&servers, config, throttled).await);
        let before = servers[0].seen().retries();
        for _ in 0..40 {
            call(&mut client).await.unwrap_err();
        }
        let seen = servers[0].seen().retries() - before;
        assert_eq!(seen, retries, "{config} {throttle:?}");
    }
}

#[tokio::test]
async fn what_the_service_config_says_of_a_method_comes_first() {
    let servers = servers(2).await;
    let own = r#""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s",
        "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]}"#;
    for (config, is_retried) in [
        (config("round_robin", own), false),
        (config("round_robin", r#""timeout": "60s""#), true),
    ] {
        servers[0].behave(Behaviour::fail(Code::Unavailable));
        let untripped = FailoverConfig {
            failure_threshold: 0,
            ..failover()
        };
        let mut client = Client::new(channel(&servers, &config, untripped).await);
        let [one, two] = [call(&mut client).await, call(&mut client).await];
        assert_eq!(one.is_ok() && two.is_ok(), is_retried, "{config}");
    }
}
