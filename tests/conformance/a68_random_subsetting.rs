//! gRFC A68 (random_subsetting).

use std::collections::BTreeSet;

use evenkeel_core::ConnectivityState::{Idle, Ready, TransientFailure};
use evenkeel_core::Policy;
use evenkeel_policy::script::Script;
use twox_hash::XxHash64;

const NAME: &str = "random_subsetting_experimental";

fn subsetting(size: usize) -> Box<dyn Policy> {
    let config = format!(r#"{{"subsetSize": {size}, "childPolicy": [{{"round_robin": {{}}}}]}}"#);
    crate::chosen::policy(NAME, &config)
}

/// Whom a round_robin child is shown: it tells all that are IDLE to connect.
fn subset(script: &Script, policy: &mut dyn Policy) -> BTreeSet<u64> {
    let update = script.update(policy);
    script.ids(&update.connect).into_iter().collect()
}

#[test]
fn a_size_of_at_least_1_and_a_child_are_required() {
    for (config, reason) in [
        (r#"{"childPolicy": [{"round_robin": {}}]}"#, "subsetSize"),
        (
            r#"{"subsetSize": 0, "childPolicy": [{"round_robin": {}}]}"#,
            "at least 1",
        ),
        (r#"{"subsetSize": 3}"#, "childPolicy"),
        (
            r#"{"subsetSize": 3, "childPolicy": [{"acme": {}}]}"#,
            "acme",
        ),
    ] {
        let refusal = crate::chosen::refusal(NAME, config);
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }
}

#[test]
fn no_more_endpoints_than_the_size_are_all_used() {
    for (endpoints, size, used) in [(0, 3, 0), (2, 3, 2), (3, 3, 3), (4, 3, 3), (100, 3, 3)] {
        let script = Script::new(&vec![Idle; endpoints]);
        assert_eq!(subset(&script, &mut *subsetting(size)).len(), used);
    }
}

#[test]
fn the_lowest_hashes_of_the_first_address_with_the_seed_are_chosen() {
    for seed in [0, 1, 42, u64::MAX] {
        let mut script = Script::new(&[Idle; 50]);
        script.random = seed;
        let mut ids: Vec<u64> = (0..50).collect();
        ids.sort_by_key(|id| XxHash64::oneshot(seed, format!("10.0.0.{id}:80").as_bytes()));
        let expected: BTreeSet<u64> = ids[..7].iter().copied().collect();
        assert_eq!(subset(&script, &mut *subsetting(7)), expected);
    }
}

#[test]
fn the_seed_is_one_per_policy_and_stays() {
    let mut script = Script::new(&[Idle; 50]);
    let mut policy = subsetting(5);
    let first = subset(&script, &mut *policy);
    script.random = 1;
    assert_eq!(subset(&script, &mut *policy), first);
    assert_ne!(subset(&script, &mut *subsetting(5)), first);
}

#[test]
fn one_endpoint_more_or_less_changes_one_member_at_most() {
    let mut script = Script::new(&[Idle; 30]);
    let mut policy = subsetting(10);
    let mut before = subset(&script, &mut *policy);
    for id in 0..25 {
        script.remove(id);
        let after = subset(&script, &mut *policy);
        let expected = usize::from(before.contains(&id) && script.endpoints.len() >= 10);
        assert_eq!(after.difference(&before).count(), expected, "{id} goes");
        before = after;
    }
    for id in 30..60 {
        script.add(id, Idle);
        let after = subset(&script, &mut *policy);
        assert!(after.difference(&before).count() <= 1, "{id} comes");
        before = after;
    }
}

#[test]
fn clients_are_spread_over_all_servers() {
    let mut clients = [0_u32; 20];
    for seed in 0..1_000 {
        let mut script = Script::new(&[Idle; 20]);
        script.random = seed;
        for id in subset(&script, &mut *subsetting(4)) {
            clients[id as usize] += 1;
        }
    }
    assert!(
        clients.iter().all(|count| (140..260).contains(count)),
        "{clients:?}"
    );
}

#[test]
fn all_else_is_as_the_child_decides() {
    let mut script = Script::new(&[Idle; 6]);
    let mut policy = subsetting(2);
    let shown: Vec<u64> = subset(&script, &mut *policy).into_iter().collect();
    for id in 0..6 {
        script.set(id, Ready);
    }
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Ready);
    let picked: BTreeSet<u64> = script.picks(&*update.picker, 10).into_iter().collect();
    assert_eq!(picked, shown.iter().copied().collect());
    assert_eq!(update.disconnect.len(), 4, "who is not shown");
    for id in shown {
        script.set(id, TransientFailure);
    }
    assert_eq!(script.update(&mut *policy).state, TransientFailure);
}
