//! Valid documents with something changed: what is refused says where.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::*;
use crate::path;

fn valid() -> Value {
    json!({
        "loadBalancingConfig": [
            {"unknown": {"a": 1}},
            {"outlier_detection_experimental": {
                "interval": "10s", "maxEjectionPercent": 10,
                "successRateEjection": {"stdevFactor": 1900, "enforcementPercentage": 100},
                "childPolicy": [{"unknown": 1}, {"least_request_experimental": {"choiceCount": 3}}]
            }},
            {"round_robin": {}}
        ],
        "methodConfig": [
            {
                "name": [{"service": "s", "method": "m"}, {"service": "t"}], "waitForReady": true,
                "timeout": "1s", "maxRequestMessageBytes": 1, "maxResponseMessageBytes": 2,
                "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s",
                    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", 8]}
            },
            {
                "name": [{"service": "s"}],
                "hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s", "nonFatalStatusCodes": [14]}
            },
            {"name": [{}], "timeout": "2s"}
        ],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "healthCheckConfig": {"serviceName": "s"},
        "connectionScaling": {"maxConnectionsPerSubchannel": 2}
    })
}

#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    /// A field's name only.
    Rename(String),
    /// An item of a list only.
    Repeat,
}

fn change() -> impl Strategy<Value = Change> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(2.5),
        json!(1e300),
        json!(""),
        json!("1s"),
        json!("100ms"),
        json!("s/m"),
        json!("UNAVAILABLE"),
        json!([]),
        json!([null]),
        json!({}),
        json!({"x.y\n": []}),
    ];
    let names = [
        "name",
        "service",
        "timeout",
        "TIMEOUT",
        "retryPolicy",
        "hedgingPolicy",
        "maxAttempts",
        "pick_first",
        "x.y",
        "",
    ];
    prop_oneof![
        4 => select(values.to_vec()).prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => select(names.to_vec()).prop_map(|name| Change::Rename(name.to_owned())),
        1 => any::<String>().prop_map(Change::Rename),
        1 => Just(Change::Repeat),
    ]
}

/// Applies `change` to the `nth` value below `value`, in the order of the document.
fn apply(value: &mut Value, nth: &mut usize, change: &Change) {
    let is_it = |nth: &mut usize| {
        *nth = nth.wrapping_sub(1);
        *nth == usize::MAX
    };
    match value {
        Value::Object(fields) => {
            for key in fields.keys().cloned().collect::<Vec<_>>() {
                if is_it(nth) {
                    let old = fields.remove(&key).unwrap();
                    match change {
                        Change::Replace(new) => fields.insert(key, new.clone()),
                        Change::Rename(name) => fields.insert(name.clone(), old),
                        Change::Remove => None,
                        Change::Repeat => fields.insert(key.to_uppercase(), old),
                    };
                    return;
                }
                apply(&mut fields[&key], nth, change);
            }
        }
        Value::Array(items) => {
            for place in 0..items.len() {
                if is_it(nth) {
                    match change {
                        Change::Replace(new) => items[place] = new.clone(),
                        Change::Remove => drop(items.remove(place)),
                        Change::Rename(_) | Change::Repeat => items.push(items[place].clone()),
                    }
                    return;
                }
                apply(&mut items[place], nth, change);
            }
        }
        _ => {}
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(|value| 1 + size(value)).sum(),
        Value::Array(items) => items.iter().map(|value| 1 + size(value)).sum(),
        _ => 0,
    }
}

/// The paths of all values, and those of the objects among them.
fn paths(value: &Value, at: String, all: &mut BTreeSet<String>, objects: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            objects.insert(at.clone());
            for (key, value) in fields {
                paths(value, path::field(&at, key), all, objects);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                paths(value, path::item(&at, place), all, objects);
            }
        }
        _ => {}
    }
    all.insert(at);
}

/// Whether `place` is in `document`, or is a field that one of its objects lacks.
fn is_place(document: &Value, place: &str, is_missing: bool) -> bool {
    let (mut all, mut objects) = Default::default();
    paths(document, ROOT.to_owned(), &mut all, &mut objects);
    let lacked = place.rsplit_once('.');
    all.contains(place) || (is_missing && lacked.is_some_and(|(at, _)| objects.contains(at)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_document_is_taken_or_refused_at_a_place_that_it_has(
        changes in prop::collection::vec((any::<Index>(), change()), 1..4),
        strictly: bool,
    ) {
        let mut document = valid();
        for (place, change) in changes {
            if size(&document) > 0 {
                let mut nth = place.index(size(&document));
                apply(&mut document, &mut nth, &change);
            }
        }
        let options = ParseOptions { strict: strictly, ..ParseOptions::default() };
        match options.parse(&document.to_string()) {
            Ok(config) => {
                for warning in config.warnings() {
                    prop_assert!(is_place(&document, &warning.path, false), "{warning}: {document}");
                }
                let _ = (config.method("/s/m"), config.explain().to_string());
            }
            Err(error) => {
                let is_missing = error.reason.contains("required");
                prop_assert!(is_place(&document, &error.path, is_missing), "{error}: {document}");
            }
        }
    }
}

#[test]
fn the_unchanged_document_is_valid() {
    let (config, _) = parse(&valid().to_string());
    assert_eq!(config.explain().methods.len(), 4);
    let removed = |nth| {
        let mut document = valid();
        apply(&mut document, &mut { nth }, &Change::Remove);
        document
    };
    let all: BTreeSet<_> = (0..size(&valid()))
        .map(|nth| removed(nth).to_string())
        .collect();
    assert!(all.len() > 40, "changes reach all of it");
}
