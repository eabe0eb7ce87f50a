//! Servers that have too much to do: retries must not make it more.

use std::time::Duration;

use evenkeel::BreakerConfig;
use evenkeel_testkit::{Behaviour, UserServer};
use evenkeel_tests::{addresses, all_ready, builder, config, servers, shares};
use tonic::{Code, Status};

use crate::ledger::{Load, executions};
use crate::retrying;

const CALLS: u64 = 1_000;
const CALLERS: usize = 8;

const EXHAUSTED: &str = r#""RESOURCE_EXHAUSTED""#;

fn throttled(config: &str) -> String {
    let throttling = r#"{"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},"#;
    config.replacen('{', throttling, 1)
}

/// How often `CALLS` calls come to servers that do this, and how many of them fail.
async fn overload(config: &str, breaker: BreakerConfig, behaviour: Behaviour) -> (Seen, usize) {
    let servers = servers(3).await;
    for server in &servers {
        server.behave(behaviour.clone());
    }
    let builder = builder(addresses(&servers)).service_config(config);
    let channel = builder.breaker(breaker).build().unwrap();
    all_ready(&channel, 3).await;
    let failures = Load::start(&channel, CALLERS, CALLS)
        .finish()
        .await
        .failures;
    let told = failures
        .values()
        .filter(|status| status.code() == Code::ResourceExhausted);
    let told = told.count();
    let seen = Seen {
        attempts: shares(&servers).iter().sum(),
        of_one_call: executions(&servers).into_values().max().unwrap_or(0),
        numbers: numbers(&servers),
        told,
    };
    (seen, failures.len())
}

struct Seen {
    attempts: u64,
    /// The most.
    of_one_call: u32,
    /// By how many came before.
    numbers: [u64; 4],
    /// Calls that failed as the servers said.
    told: usize,
}

fn numbers(servers: &[UserServer]) -> [u64; 4] {
    let seen = servers.iter().map(UserServer::seen);
    seen.fold([0; 4], |mut sums, seen| {
        for (sum, count) in sums.iter_mut().zip(seen.previous_attempts) {
            *sum += count;
        }
        sums
    })
}

#[tokio::test]
async fn without_a_throttle_a_call_makes_as_many_attempts_as_its_policy_says() {
    let config = config("round_robin", &retrying(EXHAUSTED));
    let behaviour = Behaviour::fail(Code::ResourceExhausted);
    let (seen, failed) = overload(&config, BreakerConfig::disabled(), behaviour).await;
    assert_eq!((failed, seen.told), (1_000, 1_000));
    assert_eq!(seen.attempts, 4 * CALLS);
    assert_eq!(seen.numbers, [CALLS; 4]);
    assert_eq!(seen.of_one_call, 4);
}

#[tokio::test]
async fn a_throttle_keeps_attempts_under_a_tenth_more_than_calls() {
    let config = throttled(&config("round_robin", &retrying(EXHAUSTED)));
    let all = Behaviour::fail(Code::ResourceExhausted);
    let (seen, failed) = overload(&config, BreakerConfig::disabled(), all).await;
    assert_eq!((failed, seen.told), (1_000, 1_000));
    assert_eq!(seen.numbers[0], CALLS, "first attempts are never held back");
    assert!(seen.attempts * 10 < CALLS * 11, "{}", seen.attempts);
    // Every failure costs one of 100 tokens, and retries stop at half of them.
    let retries = seen.attempts - CALLS;
    assert!((1..50).contains(&retries), "{retries}");

    // A server that answers every other call is overloaded still.
    let half = Behaviour::FailEach(2, Status::resource_exhausted("every other"));
    let (seen, failed) = overload(&config, BreakerConfig::disabled(), half).await;
    assert!((400..500).contains(&failed), "{failed}");
    assert!(seen.attempts * 10 < CALLS * 11, "{}", seen.attempts);
}

#[tokio::test]
async fn breakers_keep_nearly_all_calls_from_servers_that_are_overloaded() {
    let config = config("round_robin", &retrying(EXHAUSTED));
    let behaviour = Behaviour::fail(Code::ResourceExhausted);
    let breaker = BreakerConfig {
        open_time: Duration::from_secs(600),
        ..BreakerConfig::default()
    };
    let (seen, failed) = overload(&config, breaker, behaviour).await;
    assert_eq!(failed, 1_000);
    // Five in a row at each of three, and what was on its way there then.
    let attempts = seen.attempts;
    assert!(
        (15..3 * (5 + CALLERS as u64)).contains(&attempts),
        "{attempts}"
    );
}
