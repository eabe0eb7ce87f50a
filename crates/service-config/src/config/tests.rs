use std::time::Duration;

use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use tonic::Code;

use super::*;

mod bad;
mod lb;
mod methods;
mod mutated;
mod random;
mod spellings;
mod warned;

/// As the gRPC course ships it.
const COURSE: &str = r#"{"loadBalancingConfig":[{"custom_weighted_round_robin":{}}],
 "methodConfig":[{"name":[{"service":"UserService"}],
   "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s","backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

/// Parses; what `strict` would refuse comes as `path: reason`.
fn parse(json: &str) -> (ServiceConfig, Vec<String>) {
    let config = ServiceConfig::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let warnings = config.warnings().iter();
    let warnings = warnings
        .map(|one| {
            let text = one.to_string();
            assert_eq!(text, format!("{}: {}", one.path, one.reason));
            assert_eq!(text.lines().count(), 1, "{text:?}");
            text
        })
        .collect();
    (config, warnings)
}

/// A config with this retryPolicy for all methods.
fn with_retry_policy(policy: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {policy}}}]}}"#)
}

fn retry_policy(config: &ServiceConfig) -> RetryPolicy {
    config.method("/s/m").unwrap().retry_policy.clone().unwrap()
}

#[test]
fn the_course_config_is_taken_as_it_is() {
    let config = ParseOptions::strict().parse(COURSE).unwrap();
    let lb = config.load_balancing();
    assert_eq!(lb.name(), "evenkeel.registered_weighted_round_robin");
    drop(lb.build());
    let method = config.method("/UserService/GetById").unwrap();
    assert_eq!(
        method.retry_policy,
        Some(RetryPolicy::new(
            4,
            Duration::from_millis(10),
            Duration::from_millis(100),
            2.0,
            CodeSet::from_iter([Code::Unavailable]),
        ))
    );
    assert_eq!(config.method("/Other/GetById"), None);
}

#[test]
fn nothing_configured_is_pick_first_and_nothing_for_any_method() {
    for config in [
        ServiceConfig::default(),
        ServiceConfig::parse("{}").unwrap(),
    ] {
        assert_eq!(config.load_balancing().name(), "pick_first");
        assert_eq!(config.method("/s/m"), None);
        assert_eq!(config.retry_throttling(), None);
        assert!(config.warnings().is_empty());
    }
}

#[test]
fn the_example_of_a6_parses() {
    let policy = r#"{
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }"#;
    let config = ParseOptions::strict()
        .parse(&with_retry_policy(policy))
        .unwrap();
    assert_eq!(retry_policy(&config).max_backoff, Duration::from_secs(1));

    let throttled = r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#;
    let throttle = ParseOptions::strict()
        .parse(throttled)
        .unwrap()
        .retry_throttling();
    assert_eq!(throttle, Some(ThrottleConfig::new(10_000, 100)));
}

#[test]
fn a_clone_shares_the_config() {
    let config = ServiceConfig::parse(COURSE).unwrap();
    assert!(Arc::ptr_eq(&config.parts, &config.clone().parts));
}
