use std::collections::BTreeMap;

use evenkeel_core::Metadata;
use proptest::prelude::*;

use super::*;

fn endpoint(address: &str) -> Endpoint {
    Endpoint::new(address.parse::<Address>().unwrap())
}

fn weighted(address: &str, weight: f64) -> Endpoint {
    endpoint(address).with_metadata(Metadata::default().with_weight(weight))
}

/// Changes as short text: `+key=address*weight`, `-key`.
fn told(set: &mut EndpointSet) -> Vec<String> {
    let text = |change: Change| match change {
        Change::Insert(key, endpoint) => match endpoint.metadata().weight {
            Some(weight) => format!("+{key}={endpoint}*{weight}"),
            None => format!("+{key}={endpoint}"),
        },
        Change::Remove(key) => format!("-{key}"),
    };
    set.changes().into_iter().map(text).collect()
}

#[test]
fn an_unchanged_endpoint_is_no_change() {
    let mut set = EndpointSet::new();
    set.put("a".into(), endpoint("10.0.0.1:1"), 1);
    assert_eq!(told(&mut set), ["+a=10.0.0.1:1"]);
    set.put("a".into(), endpoint("10.0.0.1:1"), 2);
    set.replace([("a".into(), endpoint("10.0.0.1:1"), 3)]);
    assert!(told(&mut set).is_empty());
}

#[test]
fn other_metadata_is_one_insert() {
    let mut set = EndpointSet::new();
    set.put("a".into(), weighted("10.0.0.1:1", 1.0), 1);
    set.changes();
    set.put("a".into(), weighted("10.0.0.1:1", 2.0), 2);
    set.put("a".into(), weighted("10.0.0.1:1", 3.0), 3);
    assert_eq!(told(&mut set), ["+a=10.0.0.1:1*3"]);
}

#[test]
fn a_server_is_reached_under_any_of_its_keys() {
    let mut set = EndpointSet::new();
    let server = weighted("10.0.0.1:1", 1.0);
    set.put("a".into(), server.clone(), 1);
    set.put("b".into(), endpoint("10.0.0.1:1"), 2);
    set.remove(&"a".into());
    assert!(set.reaches(&server) && !set.reaches(&endpoint("10.0.0.2:1")));
    assert_eq!(set.len(), 1);
    set.remove(&"b".into());
    assert!(!set.reaches(&server) && set.is_empty());
}

#[test]
fn a_late_old_revision_is_ignored_but_a_replaced_list_may_go_back() {
    let mut set = EndpointSet::new();
    set.put("a".into(), weighted("10.0.0.1:1", 7.0), 7);
    set.put("a".into(), weighted("10.0.0.1:1", 6.0), 6);
    assert_eq!(told(&mut set), ["+a=10.0.0.1:1*7"]);
    set.replace([("a".into(), weighted("10.0.0.1:1", 2.0), 2)]);
    assert_eq!(told(&mut set), ["+a=10.0.0.1:1*2"]);
}

#[test]
fn duplicates_are_one_endpoint_the_newest_wins_and_the_key_stays() {
    let mut set = EndpointSet::new();
    set.put("old".into(), weighted("10.0.0.1:1", 1.0), 1);
    assert_eq!(told(&mut set), ["+old=10.0.0.1:1*1"]);
    set.put("new".into(), weighted("10.0.0.1:1", 2.0), 2);
    assert_eq!(told(&mut set), ["+old=10.0.0.1:1*2"]);
    set.remove(&"old".into());
    assert!(told(&mut set).is_empty(), "the server is still listed");
    set.remove(&"new".into());
    assert_eq!(told(&mut set), ["-old"]);
}

#[test]
fn a_borrowed_key_is_given_back_to_its_new_owner() {
    let mut set = EndpointSet::new();
    set.put("old".into(), endpoint("10.0.0.1:1"), 1);
    assert_eq!(told(&mut set), ["+old=10.0.0.1:1"]);
    set.put("new".into(), endpoint("10.0.0.1:1"), 2);
    set.remove(&"old".into());
    assert!(told(&mut set).is_empty());
    set.put("old".into(), endpoint("10.0.0.2:1"), 3);
    let mut changes = told(&mut set);
    changes.sort();
    assert_eq!(changes, ["+new=10.0.0.1:1", "+old=10.0.0.2:1"]);
}

#[test]
fn a_key_that_moves_to_another_server_is_one_insert() {
    let mut set = EndpointSet::new();
    set.put("a".into(), endpoint("10.0.0.1:1"), 1);
    set.changes();
    set.put("a".into(), endpoint("10.0.0.2:1"), 2);
    assert_eq!(told(&mut set), ["+a=10.0.0.2:1"]);
}

#[test]
fn a_replaced_list_is_inserted_before_the_old_one_goes() {
    let mut set = EndpointSet::new();
    set.put("a".into(), endpoint("10.0.0.1:1"), 1);
    set.changes();
    set.replace([("b".into(), endpoint("10.0.0.2:1"), 2)]);
    assert_eq!(told(&mut set), ["+b=10.0.0.2:1", "-a"]);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, u8),
    Remove(u8),
    Replace(Vec<(u8, u8, u8)>),
    Tell,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let triple = (0..5_u8, 0..4_u8, 0..3_u8);
    let step = prop_oneof![
        4 => triple.clone().prop_map(|(key, server, weight)| Step::Put(key, server, weight)),
        2 => (0..5_u8).prop_map(Step::Remove),
        1 => prop::collection::vec(triple, 0..5).prop_map(Step::Replace),
        3 => Just(Step::Tell),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    /// A consumer that applies the changes has each listed server once, with its newest
    /// metadata, and was never told what it knew.
    #[test]
    fn a_consumer_sees_the_list(steps in steps()) {
        let mut set = EndpointSet::new();
        let mut consumer = BTreeMap::<EndpointKey, Endpoint>::new();
        let mut list = BTreeMap::<EndpointKey, (Endpoint, u64)>::new();
        let mut revision = 0;
        let make = |key: u8, server: u8, weight: u8| -> (EndpointKey, Endpoint) {
            (format!("k{key}").into(), weighted(&format!("10.0.0.{server}:1"), weight.into()))
        };
        for step in steps.into_iter().chain([Step::Tell]) {
            revision += 1;
            match step {
                Step::Put(key, server, weight) => {
                    let (key, endpoint) = make(key, server, weight);
                    list.insert(key.clone(), (endpoint.clone(), revision));
                    set.put(key, endpoint, revision);
                }
                Step::Remove(key) => {
                    let key = format!("k{key}").into();
                    list.remove(&key);
                    set.remove(&key);
                }
                Step::Replace(entries) => {
                    list.clear();
                    for (key, server, weight) in entries {
                        revision += 1;
                        let (key, endpoint) = make(key, server, weight);
                        list.insert(key, (endpoint, revision));
                    }
                    let entries = list.iter();
                    set.replace(entries.map(|(key, (endpoint, at))| (key.clone(), endpoint.clone(), *at)));
                }
                Step::Tell => {
                    for change in set.changes() {
                        match change {
                            Change::Insert(key, endpoint) => {
                                prop_assert_ne!(consumer.get(&key), Some(&endpoint));
                                consumer.insert(key, endpoint);
                            }
                            Change::Remove(key) => prop_assert!(consumer.remove(&key).is_some()),
                        }
                    }
                    let mut expected = BTreeMap::<String, (u64, Endpoint)>::new();
                    for (endpoint, at) in list.values() {
                        let newest = expected.entry(endpoint.to_string()).or_insert((*at, endpoint.clone()));
                        if newest.0 < *at {
                            *newest = (*at, endpoint.clone());
                        }
                    }
                    let seen: BTreeMap<_, _> = consumer.values().map(|e| (e.to_string(), e.clone())).collect();
                    prop_assert_eq!(seen.len(), consumer.len(), "a server was told twice");
                    let expected: BTreeMap<_, _> = expected.into_iter().map(|(a, (_, e))| (a, e)).collect();
                    prop_assert_eq!(seen, expected);
                    prop_assert!(set.changes().is_empty());
                }
            }
        }
    }
}
