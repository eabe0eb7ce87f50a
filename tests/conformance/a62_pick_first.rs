//! gRFC A62 (sticky TRANSIENT_FAILURE and shuffled addresses in pick_first).

use std::collections::BTreeMap;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Discovery, Policy};
use evenkeel_policy::script::Script;

const NAME: &str = "pick_first";

fn plain() -> Box<dyn Policy> {
    crate::chosen::policy(NAME, "{}")
}

/// A policy all of whose addresses have failed.
fn failing(script: &Script) -> Box<dyn Policy> {
    let mut policy = plain();
    assert_eq!(script.update(&mut *policy).state, TransientFailure);
    policy
}

/// The ids in the order in which they are dialled, when each fails at once.
fn dialled(script: &mut Script, policy: &mut dyn Policy) -> Vec<u64> {
    let mut dialled = Vec::new();
    while let Some(&id) = script.ids(&script.update(policy).connect).first() {
        dialled.push(id);
        script.fail(id, "refused");
    }
    dialled
}

#[test]
fn transient_failure_lasts_until_a_connection_is_ready() {
    for states in [
        [Idle, TransientFailure],
        [Connecting, TransientFailure],
        [Connecting, Connecting],
        [Idle, Idle],
    ] {
        let mut script = Script::new(&[TransientFailure; 2]);
        let mut policy = failing(&script);
        for (id, state) in (0..).zip(states) {
            script.set(id, state);
        }
        let update = script.update(&mut *policy);
        assert_eq!(update.state, TransientFailure, "{states:?}");
        script.set(1, Ready);
        assert_eq!(script.update(&mut *policy).state, Ready, "{states:?}");
    }
}

#[test]
fn it_goes_on_connecting_without_any_call() {
    let mut script = Script::new(&[TransientFailure; 2]);
    let mut policy = failing(&script);
    script.call_waiting = false;
    script.set(0, Idle);
    let update = script.update(&mut *policy);
    assert_eq!(script.ids(&update.connect), [0]);
}

#[test]
fn a_new_list_does_not_end_it() {
    let mut script = Script::new(&[TransientFailure; 2]);
    let mut policy = failing(&script);
    script.remove(0);
    script.add(7, Idle);
    let update = script.update(&mut *policy);
    assert_eq!(update.state, TransientFailure);
    assert_eq!(script.ids(&update.connect), [7]);
}

#[test]
fn ready_ends_it_for_good() {
    let mut script = Script::new(&[TransientFailure]);
    let mut policy = failing(&script);
    script.set(0, Ready);
    script.update(&mut *policy);
    script.set(0, Idle);
    assert_eq!(script.update(&mut *policy).state, Idle);
    script.call_waiting = true;
    assert_eq!(script.update(&mut *policy).state, Connecting);
}

#[test]
fn a_failure_for_want_of_addresses_is_not_sticky() {
    let mut script = Script::new(&[]);
    let mut policy = plain();
    let error = std::io::Error::other("no such host");
    let view = script.view().with_discovery(Discovery::Failed(&error));
    let update = policy.update(script.now(), &view);
    assert_eq!(update.state, TransientFailure);
    script.add(0, Idle);
    assert_eq!(script.update(&mut *policy).state, Connecting);
}

#[test]
fn addresses_are_not_shuffled_unless_the_config_says_so() {
    for config in ["{}", r#"{"shuffleAddressList": false}"#] {
        for random in 0..50 {
            let mut script = Script::new(&[Idle; 4]);
            script.random = random;
            let mut policy = crate::chosen::policy(NAME, config);
            assert_eq!(dialled(&mut script, &mut *policy), [0, 1, 2, 3]);
        }
    }
    let refusal = crate::chosen::refusal(NAME, r#"{"shuffleAddressList": "yes"}"#);
    assert!(refusal.contains("shuffleAddressList"), "{refusal}");
}

#[test]
fn every_order_of_shuffled_addresses_is_as_likely() {
    let config = crate::chosen::parsed(NAME, r#"{"shuffleAddressList": true}"#);
    let mut orders = BTreeMap::new();
    for random in 0..6_000 {
        let mut script = Script::new(&[Idle; 3]);
        script.random = random;
        let order = dialled(&mut script, &mut *config.load_balancing().build());
        *orders.entry(order).or_insert(0_u32) += 1;
    }
    assert_eq!(orders.len(), 6, "all that there are");
    for (order, count) in orders {
        assert!((820..1_180).contains(&count), "{order:?}: {count}");
    }
}
