//! Random documents: none of them makes the parser panic.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const NAMES: &[&str] = &[
    "loadBalancingConfig",
    "loadBalancingPolicy",
    "methodConfig",
    "name",
    "service",
    "method",
    "timeout",
    "waitForReady",
    "retryPolicy",
    "hedgingPolicy",
    "maxAttempts",
    "initialBackoff",
    "maxBackOff",
    "backoffMultiplier",
    "retryableStatusCodes",
    "retryThrottling",
    "maxTokens",
    "tokenRatio",
    "round_robin",
    "pick_first",
    "choiceCount",
    "unknown",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u32..20).prop_map(Value::from),
        "[-0-9.a-zµ]{0,6}s?".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(NAMES).prop_map(Value::from),
    ]
}

/// Anything, but with names that the parser knows, so that it gets past the first level.
fn document() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 64, 6, |inner| {
        let name = prop_oneof![
            8 => proptest::sample::select(NAMES).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..6).prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text: String) {
        let _ = ServiceConfig::parse(&text);
    }

    #[test]
    fn any_document_is_parsed_or_refused(value in document(), path: String) {
        for value in [
            json!({"methodConfig": [{"name": [{}], "retryPolicy": value}]}),
            json!({"methodConfig": [value], "retryThrottling": value}),
            json!({"loadBalancingConfig": [value]}),
            value,
        ] {
            if let Ok(config) = ServiceConfig::parse(&value.to_string()) {
                let _ = config.method(&path);
                drop(config.load_balancing().build());
            }
        }
    }

    /// What a strict parse takes, a lenient one takes without a warning, and the other way round.
    #[test]
    fn strict_is_lenient_without_warnings(value in document()) {
        let json = json!({"methodConfig": [value]}).to_string();
        let lenient = ServiceConfig::parse(&json);
        let silent = lenient.as_ref().is_ok_and(|config| config.warnings().is_empty());
        prop_assert_eq!(ParseOptions::strict().parse(&json).is_ok(), silent);
    }
}
