//! Names in another case than gRPC's.

use serde_json::{Map, Value, json};

use super::*;
use crate::Explanation;

#[test]
fn spellings_in_another_case_count() {
    let policy = r#"{"MaxAttempts": 3, "initialbackoff": "1s", "maxBackOff": "2s",
        "backoffMultiplier": 1, "retryableStatusCodes": [14]}"#;
    let (config, warnings) = parse(&with_retry_policy(policy));
    assert_eq!(retry_policy(&config).max_backoff, Duration::from_secs(2));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

/// Every field that gRPC has, with the configs of all its policies that have fields.
fn complete() -> Value {
    json!({
        "loadBalancingConfig": [{"outlier_detection_experimental": {
            "interval": "10s", "baseEjectionTime": "30s", "maxEjectionTime": "300s", "maxEjectionPercent": 10,
            "successRateEjection": {"stdevFactor": 1900, "enforcementPercentage": 100, "minimumHosts": 5, "requestVolume": 100},
            "failurePercentageEjection": {"threshold": 85, "enforcementPercentage": 100, "minimumHosts": 5, "requestVolume": 50},
            "childPolicy": [{"least_request_experimental": {"choiceCount": 3}}]
        }}],
        "methodConfig": [
            {
                "name": [{"service": "s", "method": "m"}], "waitForReady": true, "timeout": "1s",
                "maxRequestMessageBytes": 1, "maxResponseMessageBytes": 2,
                "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s",
                    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
            },
            {
                "name": [{"service": "s"}],
                "hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s", "nonFatalStatusCodes": [14]}
            }
        ],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "healthCheckConfig": {"serviceName": "s"},
        "connectionScaling": {"maxConnectionsPerSubchannel": 2}
    })
}

/// `value` with the `nth` of its keys, at any depth, as `spell` has it; `None` when it has fewer.
fn respelled(value: &Value, nth: usize, spell: &impl Fn(&str) -> String) -> Option<Value> {
    fn walk(value: &Value, left: &mut isize, spell: &impl Fn(&str) -> String) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| {
                    *left -= 1;
                    let key = if *left == -1 { spell(key) } else { key.clone() };
                    (key, walk(value, left, spell))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| walk(item, left, spell)).collect(),
            scalar => scalar.clone(),
        }
    }
    let mut left = nth as isize;
    let respelled = walk(value, &mut left, spell);
    (left < 0).then_some(respelled)
}

/// What is in force, without what was noted on the way and where it was written.
fn in_force(config: &ServiceConfig) -> Explanation {
    let mut explanation = config.explain();
    explanation.warnings.clear();
    for method in &mut explanation.methods {
        method.path.clear();
    }
    explanation
}

fn upper_first(key: &str) -> String {
    let mut letters = key.chars();
    let first = letters.next().unwrap().to_ascii_uppercase();
    first.to_string() + letters.as_str()
}

#[test]
fn every_field_and_policy_may_be_spelled_in_another_case_with_a_warning() {
    let complete = complete();
    let (expected, warnings) = parse(&complete.to_string());
    let spellings: [&dyn Fn(&str) -> String; 3] = [
        &upper_first,
        &str::to_ascii_uppercase,
        &str::to_ascii_lowercase,
    ];
    for spell in spellings {
        let mut count = 0;
        while let Some(document) = respelled(&complete, count, &spell) {
            count += 1;
            let json = document.to_string();
            let (config, with_spelling) = parse(&json);
            assert_eq!(in_force(&config), in_force(&expected), "{json}");
            if document == complete {
                continue;
            }
            assert_eq!(with_spelling.len(), warnings.len() + 1, "{json}");
            let mut told = with_spelling.iter();
            assert!(told.any(|it| it.contains("taken for \"")), "{json}");
            let error = ParseOptions::strict().parse(&json).unwrap_err();
            assert!(!error.reason.is_empty(), "{json}");
        }
        assert_eq!(count, 46, "all of them have been tried");
    }
}

#[test]
fn a_policy_in_another_case_is_the_first_supported_one() {
    let json = r#"{"loadBalancingConfig": [{"Round_Robin": {}}, {"pick_first": {}}]}"#;
    let (config, warnings) = parse(json);
    assert_eq!(config.load_balancing().name(), "round_robin");
    assert_eq!(
        warnings,
        [
            r#"$.loadBalancingConfig[0].Round_Robin: taken for "round_robin"; some gRPC clients know only that spelling"#
        ]
    );
    let error = ParseOptions::strict().parse(json).unwrap_err();
    assert_eq!(error.path, "$.loadBalancingConfig[0].Round_Robin");
}
