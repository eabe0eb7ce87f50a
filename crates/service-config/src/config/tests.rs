use std::time::Duration;

use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use proptest::prelude::*;
use tonic::Code;

use super::*;

/// As the gRPC course ships it.
const COURSE: &str = r#"{"loadBalancingConfig":[{"custom_weighted_round_robin":{}}],
 "methodConfig":[{"name":[{"service":"UserService"}],
   "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s","backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

fn warnings(config: &ServiceConfig) -> Vec<String> {
    config
        .warnings()
        .iter()
        .map(|one| format!("{}: {}", one.path, one.reason))
        .collect()
}

#[test]
fn the_course_config_is_taken_as_it_is() {
    let mut options = ParseOptions::default();
    options.strict = true;
    let config = options.parse(COURSE).unwrap();
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
