use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{BuildPolicy, Policy};
use proptest::prelude::*;
use twox_hash::XxHash64;

use super::{RandomSubsetting, RandomSubsettingConfig};
use crate::lb::{PickFirst, RoundRobin};
use crate::script::Script;

fn config(size: u32) -> RandomSubsettingConfig {
    RandomSubsettingConfig::new(size, Arc::new(RoundRobin::new))
}

/// The ids that a round_robin child is shown, which are all told to connect when IDLE.
fn subset(script: &Script, policy: &mut dyn Policy) -> BTreeSet<u64> {
    script
        .ids(&script.update(policy).connect)
        .into_iter()
        .collect()
}

#[test]
fn the_first_hashes_with_a_seed_of_the_policys_own_are_chosen() {
    let mut script = Script::new(&[Idle; 20]);
    script.random = 42;
    let mut policy = RandomSubsetting::new(config(5));
    let mut hashes: Vec<(u64, u64)> = (0..20)
        .map(|id| {
            (
                XxHash64::oneshot(42, format!("10.0.0.{id}:80").as_bytes()),
                id,
            )
        })
        .collect();
    hashes.sort_unstable();
    let expected: BTreeSet<u64> = hashes[..5].iter().map(|(_, id)| *id).collect();
    assert_eq!(subset(&script, &mut policy), expected);
    script.random = 43;
    assert_eq!(
        subset(&script, &mut policy),
        expected,
        "the seed is the first one"
    );
    assert_ne!(
        subset(&script, &mut RandomSubsetting::new(config(5))),
        expected
    );
}

#[test]
fn the_child_sees_them_in_the_order_of_their_hashes() {
    let script = Script::new(&[Idle; 20]);
    let child = Arc::new(PickFirst::default);
    let update = script.update(&mut RandomSubsetting::new(RandomSubsettingConfig::new(
        5, child,
    )));
    let first = (0..20).min_by_key(|id| XxHash64::oneshot(0, format!("10.0.0.{id}:80").as_bytes()));
    assert_eq!(script.ids(&update.connect), [first.unwrap()]);
}

#[test]
fn no_more_endpoints_than_the_size_are_all_shown() {
    for count in [0, 1, 5] {
        let script = Script::new(&vec![Idle; count]);
        let mut policy = RandomSubsetting::new(config(5));
        assert_eq!(subset(&script, &mut policy).len(), count);
    }
}

#[test]
fn endpoints_that_are_not_shown_disconnect() {
    let mut script = Script::new(&[Ready, Connecting, TransientFailure, Idle, Ready, Ready]);
    let mut policy = RandomSubsetting::new(config(2));
    let update = script.update(&mut policy);
    let shown = subset(
        &Script::new(&[Idle; 6]),
        &mut RandomSubsetting::new(config(2)),
    );
    let gone: BTreeSet<u64> = script.ids(&update.disconnect).into_iter().collect();
    let expected = [0, 1, 2, 4, 5].into_iter().filter(|id| !shown.contains(id));
    assert_eq!(gone, expected.collect());
    for id in gone {
        script.set(id, Idle);
    }
    assert!(script.update(&mut policy).disconnect.is_empty());
}

#[test]
fn a_new_size_keeps_the_seed() {
    let script = Script::new(&[Idle; 20]);
    let mut policy = RandomSubsetting::new(config(5));
    let five = subset(&script, &mut policy);
    assert!(config(6).reconfigure(&mut policy));
    let six = subset(&script, &mut policy);
    assert_eq!(six.len(), 6);
    assert!(six.is_superset(&five));
    assert!(!config(6).reconfigure(&mut RoundRobin::new()));
}

proptest! {
    #[test]
    fn one_endpoint_more_or_less_changes_one_member_at_most(
        ids in proptest::sample::subsequence((0_u64..40).collect::<Vec<_>>(), 1..40).prop_shuffle(),
        at: prop::sample::Index,
        size in 1_u32..12,
        random: u64,
    ) {
        let mut script = Script::new(&[]);
        script.random = random;
        for id in &ids {
            script.add(*id, Idle);
        }
        let mut policy = RandomSubsetting::new(config(size));
        let before = subset(&script, &mut policy);
        let gone = script.endpoints.remove(at.index(ids.len()));
        let after = subset(&script, &mut policy);
        prop_assert!(before.difference(&after).count() <= 1);
        prop_assert!(after.difference(&before).count() <= 1);
        script.endpoints.push(gone);
        prop_assert_eq!(subset(&script, &mut policy), before);
    }
}
