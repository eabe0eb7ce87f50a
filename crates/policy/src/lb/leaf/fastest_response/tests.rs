use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::Outcome;
use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::script::Script;

fn measured(latencies: &[Option<u64>]) -> Script {
    let mut script = Script::new(&vec![Ready; latencies.len()]);
    for (id, millis) in (0..).zip(latencies) {
        if let Some(millis) = millis {
            record(&mut script, id, *millis, Outcome::Success);
        }
    }
    script
}

fn record(script: &mut Script, id: u64, millis: u64, outcome: Outcome) {
    let (now, took) = (script.now(), Duration::from_millis(millis));
    let config = LatencyConfig::default();
    let stats = &script.find(id).stats;
    stats.record_latency(now, took, outcome, &config);
}

/// Of many picks, how many go to each.
fn shares(script: &Script, picker: &dyn Picker, tried: &[u64]) -> Vec<f64> {
    const PICKS: u64 = 64_000;
    let mut counts = vec![0_u32; script.endpoints.len()];
    for random in 0..PICKS {
        counts[script.pick(picker, tried, random) as usize] += 1;
    }
    counts
        .iter()
        .map(|count| f64::from(*count) / PICKS as f64)
        .collect()
}

fn fastest(script: &Script) -> Arc<dyn Picker> {
    script.update(&mut FastestResponse::default()).picker
}

#[test]
fn latency_is_asked_for_as_configured() {
    let mut config = FastestResponseConfig::default();
    config.latency.failure_penalty = 1e9;
    config.latency.decay = Duration::from_secs(3);
    let script = measured(&[None]);
    let mut policy = config.build();
    let observed = script.update(&mut *policy).observe.latency.unwrap();
    assert_eq!(observed.decay, Duration::from_secs(3));
    assert!((observed.failure_penalty - 1000.0).abs() < 1e-9);
    config.latency.failure_penalty = 5.0;
    assert!(config.reconfigure(&mut *policy));
    let observed = script.update(&mut *policy).observe.latency.unwrap();
    assert!((observed.failure_penalty - 5.0).abs() < 1e-9);
    assert!(!config.reconfigure(&mut crate::lb::RoundRobin::new()));
}

#[test]
fn of_two_the_faster_one_gets_all_but_what_explores() {
    let script = measured(&[Some(50), Some(5)]);
    let shares = shares(&script, &*fastest(&script), &[]);
    assert!((0.006..0.010).contains(&shares[0]), "{shares:?}");
}

#[test]
fn the_worst_is_only_explored_and_the_best_wins_each_of_its_pairs() {
    let script = measured(&[Some(1), Some(5), Some(20)]);
    let shares = shares(&script, &*fastest(&script), &[]);
    // Two of three pairs have the best one; one has the middle and the worst one.
    for (share, due) in shares.iter().zip([2.0 / 3.0, 1.0 / 3.0, 0.0]) {
        let due = due * 63.0 / 64.0 + 1.0 / 192.0;
        assert!((share - due).abs() < 0.01, "{shares:?}");
    }
}

#[test]
fn calls_in_flight_count_as_much_as_latency() {
    let mut script = measured(&[Some(10), Some(50)]);
    let picker = fastest(&script);
    for (in_flight, preferred) in [(0, 0), (3, 0), (6, 1)] {
        let stats = script.find(0).stats.clone();
        (stats.in_flight()..in_flight).for_each(|_| stats.begin());
        let shares = shares(&script, &*picker, &[]);
        assert!(shares[preferred] > 0.98, "{in_flight}: {shares:?}");
    }
}

#[test]
fn while_nobody_has_answered_calls_in_flight_decide() {
    let mut script = measured(&[None; 3]);
    let picker = fastest(&script);
    let even = shares(&script, &*picker, &[]);
    assert!(
        even.iter().all(|it| (it - 1.0 / 3.0).abs() < 0.02),
        "{even:?}"
    );
    script.find(1).stats.begin();
    let shares = shares(&script, &*picker, &[]);
    assert!(shares[1] < 0.01, "{shares:?}");
}

#[test]
fn a_new_endpoint_counts_as_the_median_of_its_peers() {
    let mut script = measured(&[Some(1), Some(10), Some(10), Some(100), None]);
    let picker = fastest(&script);
    let before = shares(&script, &*picker, &[]);
    // Slower than one, faster than another, and even with two.
    assert!((before[4] - before[1]).abs() < 0.01, "{before:?}");
    assert!(before[0] > before[4] && before[4] > before[3]);
    // Its own latency is read at each pick, without another update.
    record(&mut script, 4, 1_000, Outcome::Success);
    let after = shares(&script, &*picker, &[]);
    assert!(after[4] < 0.01, "{after:?}");
}

#[test]
fn one_of_many_peers_does_not_make_the_median() {
    let mut latencies = vec![Some(10); 10_000];
    latencies[0] = Some(10_000);
    latencies[1] = None;
    let mut script = measured(&latencies);
    for random in 0..50 {
        script.random = random;
        let endpoints: Vec<_> = script.view().indexed().collect();
        assert_eq!(median(&endpoints, random), Some(10_000_000));
    }
}

#[test]
fn retries_go_to_untried_endpoints_and_prefer_the_faster() {
    let script = measured(&[Some(1), Some(5), Some(20), Some(5)]);
    let picker = fastest(&script);
    let shares = shares(&script, &*picker, &[0, 3]);
    assert!(shares[0] <= 0.0 && shares[3] <= 0.0, "{shares:?}");
    assert!(shares[1] > shares[2], "{shares:?}");
    script.pick(&*picker, &[0, 1, 2, 3], 7);
}

/// A closed loop of callers over endpoints that always take as long and end alike.
fn simulate(endpoints: &[(u64, Outcome)], callers: usize, calls: usize) -> Vec<f64> {
    let mut script = Script::new(&vec![Ready; endpoints.len()]);
    let mut policy = FastestResponse::default();
    let config = LatencyConfig::default();
    let picker = script.update(&mut policy).picker;
    let origin = script.now();
    let mut ends = BinaryHeap::new();
    let mut counts = vec![0_u32; endpoints.len()];
    for call in 0..calls {
        if call >= callers {
            let Reverse((at, id, began)) = ends.pop().unwrap();
            let now: Instant = origin + Duration::from_micros(at);
            script.advance(now - script.now());
            let outcome = endpoints[id as usize].1;
            let stats = script.find(id).stats.clone();
            stats.end(outcome);
            stats.record_latency(now, Duration::from_micros(at - began), outcome, &config);
        }
        let id = script.pick(&*picker, &[], call as u64);
        counts[id as usize] += 1;
        script.find(id).stats.begin();
        let began = (script.now() - origin).as_micros() as u64;
        ends.push(Reverse((began + endpoints[id as usize].0, id, began)));
    }
    counts
        .iter()
        .map(|count| f64::from(*count) / calls as f64)
        .collect()
}

#[test]
fn callers_find_the_fast_endpoints() {
    let ok = Outcome::Success;
    for (callers, most_of_slowest) in [(1, 0.02), (10, 0.1), (100, 0.2)] {
        let endpoints = [(1_000, ok), (5_000, ok), (20_000, ok)];
        let shares = simulate(&endpoints, callers, 50_000);
        assert!(
            shares[0] > shares[1] && shares[1] > shares[2],
            "{callers}: {shares:?}"
        );
        assert!(shares[2] < most_of_slowest, "{callers}: {shares:?}");
        assert!(shares[2] > 0.002, "it is still explored: {shares:?}");
    }
}

#[test]
fn who_fails_at_once_gets_less_than_2_percent_and_more_than_nothing() {
    let (ok, failure) = (Outcome::Success, Outcome::Failure(Code::Unavailable));
    for (peers, callers) in [(1, 1), (2, 1), (2, 30), (9, 100)] {
        let mut endpoints = vec![(5_000, ok); peers];
        endpoints.push((10, failure));
        let shares = simulate(&endpoints, callers, 50_000);
        let failing = shares[peers];
        assert!(
            (0.0005..0.02).contains(&failing),
            "{peers} {callers}: {failing}"
        );
    }
}

#[test]
fn who_recovers_is_noticed() {
    let mut script = measured(&[Some(5), Some(5)]);
    record(&mut script, 1, 0, Outcome::Failure(Code::Unavailable));
    let picker = fastest(&script);
    assert!(shares(&script, &*picker, &[])[1] < 0.02);
    // Explored successes, some time later.
    for _ in 0..3 {
        script.advance(Duration::from_secs(30));
        record(&mut script, 1, 4, Outcome::Success);
    }
    assert!(shares(&script, &*picker, &[])[1] > 0.9);
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![
        Just(Idle),
        Just(Connecting),
        Just(Ready),
        Just(TransientFailure)
    ]
}

proptest! {
    #[test]
    fn picks_are_ready_and_untried_while_there_is_one(
        endpoints in proptest::collection::vec((any_state(), proptest::option::of(0_u64..100_000)), 1..20),
        tried in proptest::collection::vec(0_u64..20, 0..6),
        random: u64,
    ) {
        let mut script = Script::new(&[]);
        for (id, (state, latency)) in (0..).zip(&endpoints) {
            script.add(id, *state);
            if let Some(millis) = latency {
                record(&mut script, id, *millis, Outcome::Success);
            }
        }
        let update = script.update(&mut FastestResponse::default());
        prop_assume!(update.state == Ready);
        let ready = |id: &u64| endpoints[*id as usize].0 == Ready;
        let mut untried = (0..endpoints.len() as u64).filter(ready).filter(|id| !tried.contains(id));
        let picked = script.pick(&*update.picker, &tried, random);
        prop_assert!(ready(&picked));
        prop_assert!(untried.next().is_none() || !tried.contains(&picked));
    }
}
