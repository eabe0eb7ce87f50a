use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use proptest::prelude::*;

use super::*;
use crate::script::Script;

const PERIOD: Duration = Duration::from_secs(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Believes the first report.
fn at_once() -> WeightedRoundRobin {
    WeightedRoundRobin::new(WeightedRoundRobinConfig {
        blackout_period: Duration::ZERO,
        ..Default::default()
    })
}

fn report(script: &mut Script, weights: &[f64]) {
    let now = script.now();
    for (id, weight) in (0..).zip(weights) {
        if *weight > 0.0 {
            script.find(id).stats.record_load(now, *weight);
        }
    }
}

fn shares(script: &Script, policy: &mut dyn Policy, picks: usize) -> Vec<usize> {
    let picker = script.update(policy).picker;
    let picks = script.picks(&*picker, picks);
    let of = |id| picks.iter().filter(|pick| **pick == id).count();
    script.endpoints.iter().map(|one| of(one.id.0)).collect()
}

#[test]
fn a_report_is_usable_from_the_blackout_on_until_it_expires() {
    let origin = Script::new(&[]).now();
    let at = |at: f64| origin + seconds(at);
    let config = WeightedRoundRobinConfig::default();
    let mut off = config.clone();
    off.blackout_period = Duration::ZERO;
    for (config, since, reported, now, expected) in [
        (&config, Some(0.0), 9.0, 9.999, Reading::NotYet),
        (&config, Some(0.0), 9.0, 10.0, Reading::Usable(3.0)),
        (&config, None, 9.0, 100.0, Reading::NotYet),
        (&config, Some(0.0), 9.0, 188.999, Reading::Usable(3.0)),
        (&config, Some(0.0), 9.0, 189.0, Reading::Expired),
        (&config, None, 9.0, 189.0, Reading::Expired),
        (&off, Some(9.0), 9.0, 9.0, Reading::Usable(3.0)),
        (&off, None, 9.0, 9.0, Reading::Usable(3.0)),
        (&off, Some(9.0), 9.0, 189.0, Reading::Expired),
    ] {
        let stats = evenkeel_core::EndpointStats::default();
        stats.record_load(at(since.unwrap_or(0.0)), 1.0);
        stats.record_load(at(reported), 3.0);
        if since.is_none() {
            stats.restart_load();
        }
        let actual = read(at(now), stats.load().unwrap(), config);
        assert_eq!(actual, expected, "{since:?} {reported} {now}");
    }
}

#[test]
fn shares_follow_the_weights_and_those_without_get_the_mean() {
    for (weights, expected) in [
        (&[100.0, 200.0, 300.0][..], &[10, 20, 30][..]),
        (&[100.0, 0.0, 300.0], &[10, 20, 30]),
        (&[100.0, 0.0, 0.0], &[20, 20, 20]),
        (&[0.0, 0.0, 0.0], &[20, 20, 20]),
        (&[1e300, 0.0, 1e300, 0.0], &[15, 15, 15, 15]),
        (&[f64::MAX, f64::MAX, f64::MAX, 0.0], &[15, 15, 15, 15]),
    ] {
        let mut script = Script::new(&vec![Ready; weights.len()]);
        let mut policy = at_once();
        script.update(&mut policy);
        report(&mut script, weights);
        script.advance(PERIOD);
        let actual = shares(&script, &mut policy, 60);
        assert_eq!(actual, expected, "{weights:?}");
    }
}

#[test]
fn weights_are_read_once_per_period_and_when_ready_endpoints_come_or_go() {
    let mut script = Script::new(&[Ready, Ready, Connecting, Idle]);
    let mut policy = at_once();
    let update = script.update(&mut policy);
    assert_eq!(update.wake_at, Some(script.now() + PERIOD));
    report(&mut script, &[1.0, 3.0]);
    script.advance(seconds(0.999));
    script.set(3, Connecting);
    assert_eq!(shares(&script, &mut policy, 8), [4, 4, 0, 0]);
    script.advance(seconds(0.001));
    assert_eq!(shares(&script, &mut policy, 8), [2, 6, 0, 0]);
    report(&mut script, &[3.0, 1.0]);
    assert_eq!(shares(&script, &mut policy, 8), [2, 6, 0, 0]);
    script.set(2, Ready);
    assert_eq!(shares(&script, &mut policy, 12), [6, 2, 4, 0]);
    let update = script.update(&mut policy);
    assert_eq!(update.wake_at, Some(script.now() + PERIOD));
}

#[test]
fn no_timer_runs_for_a_single_endpoint() {
    let mut script = Script::new(&[Ready, Connecting]);
    let mut policy = at_once();
    assert_eq!(script.update(&mut policy).wake_at, None);
    script.set(0, TransientFailure);
    assert_eq!(script.update(&mut policy).wake_at, None);
}

#[test]
fn the_turn_goes_on_when_weights_change() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = at_once();
    let first = script.pick(&*script.update(&mut policy).picker, &[], 0);
    report(&mut script, &[5.0, 5.0, 5.0]);
    script.advance(PERIOD);
    let picker = script.update(&mut policy).picker;
    assert_eq!([first, 1, 2], [0, 1, 2]);
    assert_eq!(script.picks(&*picker, 3), [1, 2, 0]);
}

#[test]
fn weights_that_did_not_change_keep_the_scheduler() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = at_once();
    script.update(&mut policy);
    report(&mut script, &[1.0, 2.0, 3.5]);
    script.advance(PERIOD);
    script.update(&mut policy);
    let before = policy.turns.clone().unwrap();
    assert_eq!(before.weights(), [1.0, 2.0, 3.5]);
    script.advance(PERIOD);
    let update = script.update(&mut policy);
    assert!(Arc::ptr_eq(&before, policy.turns.as_ref().unwrap()));
    assert_eq!(update.wake_at, Some(script.now() + PERIOD));
}

#[test]
fn becoming_ready_begins_the_blackout_anew() {
    for lose in [Idle, TransientFailure] {
        let mut script = Script::new(&[Ready, Ready, Ready]);
        let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig::default());
        script.update(&mut policy);
        report(&mut script, &[1.0, 2.0, 3.0]);
        script.advance(seconds(9.999));
        report(&mut script, &[1.0, 2.0, 3.0]);
        assert_eq!(shares(&script, &mut policy, 12), [4, 4, 4]);
        script.advance(seconds(1.001));
        assert_eq!(shares(&script, &mut policy, 12), [2, 4, 6]);
        script.set(2, lose);
        assert_eq!(shares(&script, &mut policy, 12), [4, 8, 0]);
        script.set(2, Ready);
        // The mean of 1 and 2, also when new reports come.
        assert_eq!(shares(&script, &mut policy, 18), [4, 8, 6]);
        report(&mut script, &[1.0, 2.0, 3.0]);
        script.advance(seconds(9.0));
        assert_eq!(shares(&script, &mut policy, 18), [4, 8, 6]);
        script.advance(PERIOD);
        assert_eq!(shares(&script, &mut policy, 18), [3, 6, 9]);
    }
}

#[test]
fn the_only_endpoint_too_begins_anew_when_it_reconnects() {
    let mut script = Script::new(&[Ready]);
    let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig::default());
    script.update(&mut policy);
    report(&mut script, &[1.0]);
    script.set(0, Connecting);
    script.update(&mut policy);
    assert!(script.find(0).stats.load().unwrap().since.is_some());
    script.set(0, Ready);
    script.update(&mut policy);
    assert!(script.find(0).stats.load().unwrap().since.is_none());
}

#[test]
fn an_expired_weight_begins_a_new_row() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig::default());
    script.update(&mut policy);
    report(&mut script, &[1.0, 2.0, 3.0]);
    script.advance(seconds(100.0));
    report(&mut script, &[1.0, 2.0]);
    script.advance(seconds(80.0));
    assert_eq!(shares(&script, &mut policy, 18), [4, 8, 6], "expired");
    report(&mut script, &[0.0, 0.0, 3.0]);
    script.advance(PERIOD);
    assert_eq!(shares(&script, &mut policy, 18), [4, 8, 6], "blacked out");
    script.advance(seconds(9.0));
    assert_eq!(shares(&script, &mut policy, 18), [3, 6, 9]);
}

#[test]
fn endpoints_held_back_are_a_last_resort_by_their_weights() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = at_once();
    script.update(&mut policy);
    report(&mut script, &[1.0, 3.0]);
    script.hold_back(0, "breaker open");
    script.hold_back(1, "breaker open");
    script.advance(PERIOD);
    assert!(script.update(&mut policy).last_resort);
    assert_eq!(shares(&script, &mut policy, 8), [2, 6]);
}

#[test]
fn reports_come_with_responses_or_out_of_band_and_never_both_ways() {
    let mut config = WeightedRoundRobinConfig::default();
    let mut policy = config.build();
    let script = Script::new(&[Ready; 2]);
    let observe = script.update(&mut *policy).observe;
    assert!(observe.load.is_some() && observe.load_stream.is_none());
    config.oob = Some(Duration::from_secs(10));
    assert!(config.reconfigure(&mut *policy));
    let observe = script.update(&mut *policy).observe;
    assert!(observe.load.is_none());
    assert_eq!(observe.load_stream.unwrap().interval.as_secs(), 10);
    assert!(!config.reconfigure(&mut crate::lb::RoundRobin::new()));
}

#[test]
fn a_stream_may_report_before_its_endpoint_is_seen_ready() {
    for (oob, blacked_out_for) in [(Some(PERIOD), 9), (None, 10)] {
        let mut script = Script::new(&[Ready, Ready, Connecting]);
        let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig {
            oob,
            ..Default::default()
        });
        script.update(&mut policy);
        report(&mut script, &[2.0, 2.0]);
        script.advance(seconds(20.0));
        script.update(&mut policy);
        script.advance(PERIOD);
        report(&mut script, &[2.0, 2.0, 8.0]);
        script.advance(PERIOD);
        script.set(2, Ready);
        script.update(&mut policy);
        // The next report is the first of its row if the one before it does not count.
        report(&mut script, &[2.0, 2.0, 8.0]);
        script.advance(seconds(f64::from(blacked_out_for) - 0.001));
        assert_eq!(shares(&script, &mut policy, 12), [4, 4, 4], "{oob:?}");
        script.advance(PERIOD);
        assert_eq!(shares(&script, &mut policy, 12), [2, 2, 8], "{oob:?}");
    }
}

#[test]
fn of_an_endpoint_that_comes_back_old_reports_count_no_more() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig {
        oob: Some(PERIOD),
        ..Default::default()
    });
    script.update(&mut policy);
    report(&mut script, &[2.0, 2.0, 8.0]);
    script.advance(seconds(10.0));
    assert_eq!(shares(&script, &mut policy, 12), [2, 2, 8]);
    script.hold_back(2, "breaker open");
    script.update(&mut policy);
    script.advance(PERIOD);
    script.set(2, Ready);
    script.advance(PERIOD);
    assert_eq!(shares(&script, &mut policy, 12), [4, 4, 4]);
}

#[test]
fn another_config_is_taken_without_losing_the_weights() {
    let mut script = Script::new(&[Ready; 2]);
    let mut config = WeightedRoundRobinConfig::default();
    let mut policy = config.build();
    script.update(&mut *policy);
    report(&mut script, &[1.0, 3.0]);
    script.advance(PERIOD);
    assert_eq!(shares(&script, &mut *policy, 8), [4, 4]);
    config.blackout_period = PERIOD;
    config.weight_update_period = Duration::from_millis(1);
    assert!(config.reconfigure(&mut *policy));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6]);
    let wake_at = script.update(&mut *policy).wake_at.unwrap();
    assert_eq!(wake_at - script.now(), Duration::from_millis(100));
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![1 => Just(Idle), 1 => Just(Connecting), 4 => Just(Ready), 1 => Just(TransientFailure)]
}

proptest! {
    #[test]
    fn picks_are_ready_or_held_back_and_untried_while_there_is_one(
        events in proptest::collection::vec(
            (0_u64..6, any_state(), prop_oneof![0.1_f64..100.0, 1e-300_f64..1e300], 0_u64..30_000),
            1..40,
        ),
        tried in proptest::collection::vec(0_u64..6, 0..4),
    ) {
        let mut script = Script::new(&[Ready; 6]);
        let mut policy = WeightedRoundRobin::new(WeightedRoundRobinConfig::default());
        for (random, (id, state, weight, millis)) in (0..).zip(events) {
            script.set(id, state);
            if random % 7 == 0 {
                script.hold_back(id, "breaker open");
            }
            let now = script.now();
            script.find(5 - id).stats.record_load(now, weight);
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
}
