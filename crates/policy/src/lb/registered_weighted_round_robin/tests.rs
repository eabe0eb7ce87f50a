use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Outcome, Pick, PickArgs};
use http::HeaderMap;
use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::script::Script;

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

const EXHAUSTED: Outcome = Outcome::Failure(Code::ResourceExhausted);
const UNAVAILABLE: Outcome = Outcome::Failure(Code::Unavailable);

fn shares(script: &Script, policy: &mut dyn Policy, picks: usize) -> Vec<usize> {
    let picker = script.update(policy).picker;
    counts(&script.picks(&*picker, picks), script.endpoints.len())
}

#[test]
fn an_exhausted_endpoint_gets_half_and_wins_it_back() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    let update = script.update(&mut policy);
    assert!(update.observe.failures && update.wake_at.is_none());
    script.end(2, 100, EXHAUSTED);
    assert_eq!(shares(&script, &mut policy, 90), [20, 40, 30]);
    for weight in [33, 36, 39, 42, 45, 48, 51, 54, 57, 60] {
        let wake_at = script.update(&mut policy).wake_at.unwrap();
        script.advance(wake_at - script.now());
        assert_eq!(shares(&script, &mut policy, 60 + weight), [20, 40, weight]);
    }
    assert_eq!(script.update(&mut policy).wake_at, None);
}

#[test]
fn an_unavailable_endpoint_is_out_and_comes_back_by_a_probe() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(1, 1, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 400), [100, 0, 300]);
    let update = script.update(&mut policy);
    assert_eq!(update.wake_at, Some(script.now() + Duration::from_secs(1)));
    for random in 0..30 {
        assert_eq!(
            script.pick(&*update.picker, &[0, 2], random),
            1,
            "a retry that has tried all others"
        );
        assert_ne!(script.pick(&*update.picker, &[0], random), 0);
    }
    script.advance(Duration::from_secs(1));
    // 10, 20/16 and 30.
    assert_eq!(shares(&script, &mut policy, 165), [40, 5, 120]);
    script.end(1, 1, Outcome::Success);
    script.advance(STEP);
    assert_eq!(shares(&script, &mut policy, 165), [40, 5, 120]);
    script.advance(10 * STEP);
    script.update(&mut policy);
    script.advance(10 * STEP);
    assert_eq!(shares(&script, &mut policy, 60), [10, 20, 30]);
}

#[test]
fn when_all_fail_all_have_their_registered_weights() {
    for outcome in [EXHAUSTED, UNAVAILABLE] {
        let mut script = weighted(&[10.0, 20.0, 30.0]);
        let mut policy = RegisteredWeightedRoundRobin::default();
        script.update(&mut policy);
        for _ in 0..6 {
            for id in 0..3 {
                script.end(id, 3, outcome);
            }
            script.update(&mut policy);
            script.advance(Duration::from_millis(100));
        }
        assert_eq!(
            shares(&script, &mut policy, 60),
            [10, 20, 30],
            "{outcome:?}"
        );
        let wake_at = script.update(&mut policy).wake_at.unwrap();
        assert!(wake_at <= script.now() + STEP, "successes are looked for");
    }
}

#[test]
fn the_first_of_all_that_succeeds_gets_the_calls() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(0, 1, UNAVAILABLE);
    script.end(1, 1, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 30), [10, 20]);
    script.end(1, 1, Outcome::Success);
    assert_eq!(shares(&script, &mut policy, 30), [0, 30]);
}

#[test]
fn a_new_connection_begins_with_all_of_its_weight() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(0, 1, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 30), [0, 30]);
    script.hold_back(0, "breaker open");
    script.update(&mut policy);
    script.set(0, Ready);
    assert_eq!(
        shares(&script, &mut policy, 30),
        [0, 30],
        "it was connected"
    );
    script.set(0, Connecting);
    script.update(&mut policy);
    script.end(0, 5, UNAVAILABLE);
    script.set(0, Ready);
    assert_eq!(shares(&script, &mut policy, 30), [10, 20]);
}

#[test]
fn nothing_is_taken_for_other_failures_or_when_that_is_off() {
    let off = RegisteredWeightedRoundRobinConfig {
        react_to_errors: false,
        ..Default::default()
    };
    for (config, outcome) in [
        (off, EXHAUSTED),
        (off, UNAVAILABLE),
        (Default::default(), Outcome::Failure(Code::Internal)),
        (Default::default(), Outcome::Abandoned),
    ] {
        let mut script = weighted(&[10.0, 20.0, 30.0]);
        let mut policy = RegisteredWeightedRoundRobin::new(config);
        script.update(&mut policy);
        script.end(1, 9, outcome);
        let update = script.update(&mut policy);
        assert_eq!(update.observe.failures, config.react_to_errors);
        assert_eq!(update.wake_at, None);
        assert_eq!(shares(&script, &mut policy, 60), [10, 20, 30]);
    }
}

#[test]
fn another_config_keeps_what_is_known() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut config = RegisteredWeightedRoundRobinConfig::default();
    let mut policy = config.build();
    script.update(&mut *policy);
    script.end(0, 1, UNAVAILABLE);
    assert_eq!(shares(&script, &mut *policy, 30), [0, 30]);
    config.probe_interval = Duration::from_secs(5);
    assert!(config.reconfigure(&mut *policy));
    assert_eq!(shares(&script, &mut *policy, 30), [0, 30]);
    config.react_to_errors = false;
    assert!(config.reconfigure(&mut *policy));
    assert_eq!(shares(&script, &mut *policy, 30), [10, 20]);
    assert!(!config.reconfigure(&mut crate::lb::RoundRobin::new()));
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![1 => Just(Idle), 1 => Just(Connecting), 4 => Just(Ready), 1 => Just(TransientFailure)]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(EXHAUSTED),
        Just(UNAVAILABLE),
        Just(Outcome::Failure(Code::Internal)),
        Just(Outcome::Abandoned),
    ]
}

proptest! {
    /// Whatever fails: READY or held back, and untried while there is one.
    #[test]
    fn reactions_never_leave_a_call_without_an_endpoint(
        events in proptest::collection::vec((0_u64..5, any_outcome(), any_state(), 0_u64..3_000), 1..40),
        tried in proptest::collection::vec(0_u64..5, 0..4),
    ) {
        let mut script = weighted(&[1.0, 7.0, 0.3, 1e-300, 1e300]);
        let mut policy = RegisteredWeightedRoundRobin::default();
        for (random, (id, outcome, state, millis)) in (0..).zip(events) {
            script.end(id, 2, outcome);
            script.set(id, state);
            if random % 7 == 0 {
                script.hold_back(id, "breaker open");
            }
            script.advance(Duration::from_millis(millis));
            let update = script.update(&mut policy);
            prop_assert!(update.wake_at.is_none_or(|at| at > script.now()));
            if update.state == Ready {
                let picked = script.pick(&*update.picker, &tried, random);
                let untried = script.endpoints.iter().any(|endpoint| {
                    endpoint.state == Ready && !tried.contains(&endpoint.id.0)
                });
                prop_assert!(!(untried && tried.contains(&picked)));
            }
        }
    }

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
