use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Pick, PickArgs};
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::script::Script;

mod reactions;

fn weighted(weights: &[f64]) -> Script {
    let mut script = Script::new(&vec![Ready; weights.len()]);
    for (id, weight) in (0..).zip(weights) {
        script.weigh(id, *weight);
    }
    script
}

fn counts(picks: &[u64], endpoints: usize) -> Vec<usize> {
    (0..endpoints as u64)
        .map(|id| picks.iter().filter(|pick| **pick == id).count())
        .collect()
}

#[test]
fn weights_of_10_20_and_30_are_one_two_and_three_calls_of_six() {
    let script = weighted(&[10.0, 20.0, 30.0]);
    let picker = script
        .update(&mut RegisteredWeightedRoundRobin::default())
        .picker;
    assert_eq!(
        script.picks(&*picker, 12),
        [2, 1, 2, 0, 1, 2, 2, 1, 2, 0, 1, 2]
    );
}

#[test]
fn unset_weights_and_no_weights_count_as_one() {
    let mut script = weighted(&[f64::NAN, f64::INFINITY, -3.0, 2.0]);
    script.add(4, Ready);
    let picker = script
        .update(&mut RegisteredWeightedRoundRobin::default())
        .picker;
    assert_eq!(counts(&script.picks(&*picker, 60), 5), [10, 10, 10, 20, 10]);
}

#[test]
fn the_turn_goes_on_when_the_picker_is_rebuilt() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    script.add(3, Connecting);
    let mut policy = RegisteredWeightedRoundRobin::default();
    let states = [Connecting, TransientFailure, Idle].into_iter().cycle();
    let picks: Vec<u64> = states
        .take(6)
        .map(|state| {
            script.set(3, state);
            script.pick(&*script.update(&mut policy).picker, &[], 0)
        })
        .collect();
    assert_eq!(picks, [2, 1, 2, 0, 1, 2]);
}

#[test]
fn a_new_weight_counts_from_the_next_update_on() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.weigh(0, 50.0);
    let picker = script.update(&mut policy).picker;
    assert_eq!(counts(&script.picks(&*picker, 100), 3), [50, 20, 30]);
}

#[test]
fn only_ready_endpoints_share_by_their_own_weights() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    script.set(1, TransientFailure);
    let picker = script
        .update(&mut RegisteredWeightedRoundRobin::default())
        .picker;
    assert_eq!(counts(&script.picks(&*picker, 40), 3), [10, 0, 30]);
}

#[test]
fn unchanged_weights_keep_the_scheduler() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    let before = policy.turns.clone().unwrap();
    script.add(7, Connecting);
    script.update(&mut policy);
    assert!(Arc::ptr_eq(&before, policy.turns.as_ref().unwrap()));
}

#[test]
fn retries_share_the_untried_endpoints_by_weight() {
    for (weights, share_of_first) in [
        ([10.0, 20.0, 30.0], 1.0 / 3.0),
        ([9.0, 1.0, 90.0], 0.9),
        ([9.0, 1.0, 90_000.0], 0.9),
    ] {
        let script = weighted(&weights);
        let picker = script
            .update(&mut RegisteredWeightedRoundRobin::default())
            .picker;
        let retries = 6_000;
        let mut first = 0;
        for random in 0..retries {
            let picked = script.pick(&*picker, &[2], random);
            assert_ne!(picked, 2);
            first += u64::from(picked == 0);
        }
        assert_eq!(script.pick(&*picker, &[2, 0], 7), 1);
        let share = first as f64 / retries as f64;
        assert!(
            (share - share_of_first).abs() < 0.05,
            "{weights:?}: {share}"
        );
    }
}

#[test]
fn while_one_endpoint_fails_all_others_keep_their_proportion() {
    let script = weighted(&[10.0, 20.0, 30.0]);
    let picker = script
        .update(&mut RegisteredWeightedRoundRobin::default())
        .picker;
    let mut served = Vec::new();
    for _ in 0..600 {
        let first = script.pick(&*picker, &[], 0);
        served.push(if first == 2 {
            script.pick(&*picker, &[2], 0)
        } else {
            first
        });
    }
    assert_eq!(counts(&served, 3), [200, 400, 0]);
}

#[test]
fn picks_from_many_threads_are_shared_exactly() {
    const THREADS: u64 = 8;
    const ROTATIONS: u64 = 10_000;
    let script = weighted(&[10.0, 20.0, 30.0]);
    let picker = script
        .update(&mut RegisteredWeightedRoundRobin::default())
        .picker;
    let counts: [AtomicU64; 3] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let headers = HeaderMap::new();
                let args = PickArgs::new("/s/m", &headers, 0);
                for _ in 0..6 * ROTATIONS {
                    match picker.pick(&args) {
                        Pick::Endpoint(index) => counts[index.0].fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    let all = THREADS * ROTATIONS;
    assert_eq!(counts.map(AtomicU64::into_inner), [all, 2 * all, 3 * all]);
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![1 => Just(Idle), 1 => Just(Connecting), 4 => Just(Ready), 1 => Just(TransientFailure)]
}

proptest! {
    /// A window of one rotation, wherever it begins, has each endpoint exactly as often as its
    /// weight says; a shorter one less than two calls from its share.
    #[test]
    fn every_window_keeps_the_shares(
        endpoints in proptest::collection::vec((any_state(), 1_u32..20), 1..15),
        random: u64,
        skip in 0_usize..300,
        part in 0.0_f64..1.0,
    ) {
        let ready: Vec<usize> = (0..endpoints.len()).filter(|id| endpoints[*id].0 == Ready).collect();
        prop_assume!(!ready.is_empty());
        let mut script = Script::new(&[]);
        script.random = random;
        for (id, (state, weight)) in (0..).zip(&endpoints) {
            script.add(id, *state);
            script.weigh(id, f64::from(*weight));
        }
        let picker = script.update(&mut RegisteredWeightedRoundRobin::default()).picker;
        script.picks(&*picker, skip);
        let total: usize = ready.iter().map(|id| endpoints[*id].1 as usize).sum();
        let picks = script.picks(&*picker, total);
        let counted = counts(&picks, endpoints.len());
        for (id, (state, weight)) in endpoints.iter().enumerate() {
            let share = if *state == Ready { *weight as usize } else { 0 };
            prop_assert_eq!(counted[id], share);
        }
        let length = (part * total as f64) as usize;
        let counted = counts(&picks[..length], endpoints.len());
        for id in ready {
            let due = length as f64 * f64::from(endpoints[id].1) / total as f64;
            prop_assert!((counted[id] as f64 - due).abs() < 2.0);
        }
    }

    #[test]
    fn tried_endpoints_come_last(
        weights in proptest::collection::vec(prop_oneof![1.0_f64..50.0, 1e-9_f64..1e9], 1..12),
        tried in proptest::collection::vec(0_u64..12, 0..6),
        random: u64,
    ) {
        let script = weighted(&weights);
        let picker = script.update(&mut RegisteredWeightedRoundRobin::default()).picker;
        for _ in 0..20 {
            let picked = script.pick(&*picker, &tried, random);
            let untried = (0..weights.len() as u64).any(|id| !tried.contains(&id));
            prop_assert!(!(untried && tried.contains(&picked)));
        }
    }
}
