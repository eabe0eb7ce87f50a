//! What a service config may say of retries.

use std::time::Duration;

use evenkeel::ServiceConfig;
use evenkeel::policy::retry::RetryPolicy;

const GOOD: &str = r#"{"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}"#;

fn parse(policy: &str) -> Result<RetryPolicy, String> {
    let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {policy}}}]}}"#);
    let config = ServiceConfig::parse(&json).map_err(|error| error.to_string())?;
    let method = config.method("/s/m").expect("it is of all methods");
    Ok(method.retry_policy.clone().expect("it has one"))
}

/// The good policy with something else instead of one of its fields.
#[track_caller]
fn with(field: &str, value: &str) -> String {
    let at = GOOD.find(&format!(r#""{field}":"#)).unwrap();
    let end = GOOD[at..].find([',', '}']).unwrap();
    let field = match value {
        "" => r#""unknown": 1"#.to_owned(),
        value => format!(r#""{field}": {value}"#),
    };
    format!("{}{field}{}", &GOOD[..at], &GOOD[at + end..])
}

#[test]
fn what_is_configured_is_what_counts() {
    let policy = parse(GOOD).unwrap();
    assert_eq!(policy.max_attempts, 3);
    assert_eq!(policy.initial_backoff, Duration::from_millis(100));
    assert_eq!(policy.max_backoff, Duration::from_secs(1));
    assert!((policy.backoff_multiplier - 2.0).abs() < f64::EPSILON);
}

#[test]
fn every_field_is_required() {
    for field in [
        "maxAttempts",
        "initialBackoff",
        "maxBackoff",
        "backoffMultiplier",
        "retryableStatusCodes",
    ] {
        let refusal = parse(&with(field, "")).unwrap_err();
        assert!(refusal.contains(field), "{refusal}");
    }
}

#[test]
fn attempts_are_an_integer_of_at_least_2_and_more_than_5_count_as_5() {
    for wrong in ["1", "0", "-1", "2.5", "true", "\"x\""] {
        parse(&with("maxAttempts", wrong)).unwrap_err();
    }
    for (given, counts) in [("2", 2), ("5", 5), ("6", 5), ("4294967295", 5)] {
        let policy = parse(&with("maxAttempts", given)).unwrap();
        assert_eq!(policy.max_attempts, counts);
    }
}

#[test]
fn backoffs_are_more_than_nothing_in_either_order() {
    for field in ["initialBackoff", "maxBackoff"] {
        for wrong in ["\"0s\"", "\"-1s\"", "\"1\"", "\"100ms\"", "1", "null"] {
            let refusal = parse(&with(field, wrong)).unwrap_err();
            assert!(refusal.contains(field), "{refusal}");
        }
    }
    parse(&with("initialBackoff", "\"10s\"")).unwrap();
}

#[test]
fn the_multiplier_is_more_than_nothing_and_may_be_less_than_1() {
    for wrong in ["0", "-1", "-0.5", "true"] {
        parse(&with("backoffMultiplier", wrong)).unwrap_err();
    }
    for right in ["0.5", "1", "1.6", "1e3"] {
        parse(&with("backoffMultiplier", right)).unwrap();
    }
}

#[test]
fn codes_are_names_or_numbers_and_there_is_one_at_least() {
    for wrong in [
        "[]",
        "{}",
        "14",
        "[17]",
        "[-1]",
        "[14.5]",
        "[\"CANCELED\"]",
        "[\"\"]",
        "[null]",
    ] {
        parse(&with("retryableStatusCodes", wrong)).unwrap_err();
    }
    for right in [
        "[14]",
        "[\"UNAVAILABLE\"]",
        "[\"unavailable\"]",
        "[\"CANCELLED\", 14]",
    ] {
        let policy = parse(&with("retryableStatusCodes", &right.replace(", ", ",")));
        let codes = policy.unwrap().retryable_codes;
        assert!(codes.contains(tonic::Code::Unavailable), "{right}");
    }
}

#[test]
fn a_method_is_retried_or_hedged_and_not_both() {
    let json = format!(
        r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {GOOD},
            "hedgingPolicy": {{"maxAttempts": 2}}}}]}}"#
    );
    ServiceConfig::parse(&json).unwrap_err();
}

#[test]
fn throttling_has_both_its_fields_within_their_bounds() {
    let parse = |fields: &str| {
        let json = format!(r#"{{"retryThrottling": {{{fields}}}}}"#);
        ServiceConfig::parse(&json)
    };
    for wrong in [
        "",
        r#""maxTokens": 10"#,
        r#""tokenRatio": 1"#,
        r#""maxTokens": 0, "tokenRatio": 1"#,
        r#""maxTokens": -1, "tokenRatio": 1"#,
        r#""maxTokens": 1001, "tokenRatio": 1"#,
        r#""maxTokens": 10, "tokenRatio": 0"#,
        r#""maxTokens": 10, "tokenRatio": -0.1"#,
    ] {
        parse(wrong).unwrap_err();
    }
    for (right, tokens, ratio) in [
        (r#""maxTokens": 1, "tokenRatio": 0.001"#, 1_000, 1),
        (r#""maxTokens": 1000, "tokenRatio": 0.5466"#, 1_000_000, 546),
        (r#""maxTokens": 10, "tokenRatio": 0.29"#, 10_000, 290),
        (r#""maxTokens": 10, "tokenRatio": 1"#, 10_000, 1_000),
    ] {
        let throttling = parse(right).unwrap().retry_throttling().unwrap();
        let parsed = (throttling.max_milli_tokens, throttling.milli_token_ratio);
        assert_eq!(parsed, (tokens, ratio), "{right}");
    }
}
