//! gRFC A21 (errors in service configs).

use evenkeel_service_config::{LiveConfig, ParseOptions, ServiceConfig};

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
const WEIGHTED: &str = r#"{"loadBalancingConfig": [{"weighted_round_robin": {}}]}"#;
const WRONG: &str = r#"{"loadBalancingConfig": [{"acme": {}}]}"#;

fn parse(json: &str) -> Result<ServiceConfig, String> {
    ServiceConfig::parse(json).map_err(|error| error.to_string())
}

fn name(config: &LiveConfig) -> String {
    config.current().load_balancing().name().to_owned()
}

fn without_default() -> LiveConfig {
    LiveConfig::new(None, ParseOptions::default())
}

#[test]
fn a_document_is_one_json_object() {
    for json in [
        "", " ", "{", "}", "[]", "7", "\"\"", "null", "{}{}", "{},", "not json",
    ] {
        assert!(parse(json).is_err(), "{json:?}");
    }
    parse("{}").unwrap();
    parse(" {\n} ").unwrap();
}

#[test]
fn fields_that_are_not_known_are_ignored_at_every_level() {
    let config = parse(
        r#"{"acme": 1, "loadBalancingConfig": [{"round_robin": {"acme": []}}],
            "methodConfig": [{"name": [{"service": "s", "acme": {}}], "timeout": "1s", "acme": null,
                "retryPolicy": {"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s",
                    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"], "acme": 1}}],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 1, "acme": "x"}}"#,
    );
    let config = config.unwrap();
    assert_eq!(config.load_balancing().name(), "round_robin");
    let method = config.method("/s/m").unwrap();
    assert!(method.timeout.is_some() && method.retry_policy.is_some());
    assert!(config.retry_throttling().is_some());
}

#[test]
fn one_wrong_field_refuses_the_whole_config() {
    let good = r#""loadBalancingConfig": [{"round_robin": {}}]"#;
    for (wrong, place) in [
        (r#""methodConfig": {}"#, "$.methodConfig"),
        (
            r#""methodConfig": [{"name": [{"service": "s"}], "timeout": "100ms"}]"#,
            "$.methodConfig[0].timeout",
        ),
        (
            r#""methodConfig": [{"name": [{"service": "s"}], "timeout": "1s"},
                {"name": [{"service": "t"}], "waitForReady": "true"}]"#,
            "$.methodConfig[1].waitForReady",
        ),
        (
            r#""methodConfig": [{"name": [{"method": "m"}]}]"#,
            "$.methodConfig[0].name[0]",
        ),
        (
            r#""methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s"}]}]"#,
            "$.methodConfig[1].name[0]",
        ),
        (
            r#""methodConfig": [{"name": [{}], "maxRequestMessageBytes": -1}]"#,
            "$.methodConfig[0].maxRequestMessageBytes",
        ),
        (
            r#""methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 1}}]"#,
            "$.methodConfig[0].retryPolicy",
        ),
        (
            r#""retryThrottling": {"maxTokens": 10}"#,
            "$.retryThrottling",
        ),
        (
            r#""healthCheckConfig": {"serviceName": 7}"#,
            "$.healthCheckConfig.serviceName",
        ),
    ] {
        let refusal = parse(&format!("{{{good}, {wrong}}}")).unwrap_err();
        assert!(refusal.contains(place), "{wrong}: {refusal}");
        // Also when it is all there is, and whatever comes first.
        parse(&format!("{{{wrong}, {good}}}")).unwrap_err();
    }
}

#[test]
fn a_wrong_update_leaves_the_config_before_it_in_force() {
    let config = without_default();
    config.update(ROUND_ROBIN).unwrap();
    let error = config.update(WRONG).unwrap_err();
    assert_eq!(name(&config), "round_robin");
    assert_eq!(config.refused(), Some(error));
    assert_eq!(config.failure(), None, "the channel goes on");

    config.update(WEIGHTED).unwrap();
    assert_eq!(name(&config), "weighted_round_robin");
    assert_eq!(config.refused(), None);
}

#[test]
fn a_wrong_update_after_none_leaves_none_in_force() {
    let config = without_default();
    config.reset();
    config.update(WRONG).unwrap_err();
    assert_eq!(name(&config), "pick_first");
    assert_eq!(config.failure(), None, "none had been selected");
}

#[test]
fn when_discovery_has_none_the_default_one_is_used() {
    let default = parse(ROUND_ROBIN).unwrap();
    let config = LiveConfig::from(default);
    config.reset();
    assert_eq!(name(&config), "round_robin");
    config.update(WEIGHTED).unwrap();
    config.reset();
    assert_eq!(name(&config), "round_robin");

    let config = without_default();
    config.reset();
    assert_eq!(name(&config), "pick_first", "as {{}} says");
}

#[test]
fn a_wrong_first_config_uses_the_default_one() {
    let config = LiveConfig::from(parse(ROUND_ROBIN).unwrap());
    config.update(WRONG).unwrap_err();
    assert_eq!(name(&config), "round_robin");
    assert_eq!(config.failure(), None);
}

#[test]
fn a_wrong_first_config_without_a_default_is_a_failure_until_there_is_a_right_one() {
    let config = without_default();
    let error = config.update(WRONG).unwrap_err();
    assert_eq!(config.failure(), Some(error), "calls fail with this");
    config.update(ROUND_ROBIN).unwrap();
    assert_eq!(config.failure(), None);
    assert_eq!(name(&config), "round_robin");
}
