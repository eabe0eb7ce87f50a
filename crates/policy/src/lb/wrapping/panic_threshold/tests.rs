use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::BuildPolicy;
use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::Outcome;
use tonic::Code;

use super::*;
use crate::lb::{
    BuildWrapper, FailurePercentageEjection, OutlierDetection, OutlierDetectionConfig, RoundRobin,
};
use crate::script::Script;

fn around_round_robin(healthy_percent: u32) -> PanicThreshold {
    let config = PanicThresholdConfig { healthy_percent };
    PanicThreshold::new(config, Box::new(RoundRobin::new()))
}

/// So many READY endpoints, then so many that are held back, and three that are neither.
fn fleet(ready: usize, held_back: usize) -> Script {
    let mut script = Script::new(&vec![Ready; ready + held_back]);
    for id in ready..ready + held_back {
        script.hold_back(id as u64, "breaker open");
    }
    for (id, state) in [(90, Idle), (91, Connecting), (92, TransientFailure)] {
        script.add(id, state);
    }
    script
}

#[test]
fn there_is_panic_while_too_few_of_the_connected_endpoints_are_ready() {
    for (percent, ready, held_back, panics) in [
        (50, 10, 0, false),
        (50, 5, 5, false),
        (50, 4, 5, true),
        (50, 1, 9, true),
        (50, 0, 1, true),
        (50, 0, 0, false),
        (0, 1, 99, false),
        (1, 1, 99, false),
        (1, 1, 100, true),
        (100, 99, 1, true),
        (100, 99, 0, false),
        (700, 99, 1, true),
        (700, 99, 0, false),
    ] {
        let case = format!("{percent} %: {ready} of {}", ready + held_back);
        let script = fleet(ready, held_back);
        let update = script.update(&mut around_round_robin(percent));
        assert_eq!(update.last_resort, panics, "{case}");
        assert_eq!(script.ids(&update.connect), [90], "{case}");
        if update.state == Ready {
            let mut picks = script.picks(&*update.picker, ready + held_back);
            picks.sort_unstable();
            picks.dedup();
            let used = if panics { ready + held_back } else { ready };
            assert_eq!(picks.len(), used, "{case}");
        }
    }
}

#[test]
fn panic_ends_when_enough_are_ready_again() {
    let mut script = fleet(1, 3);
    let mut policy = around_round_robin(50);
    assert!(script.update(&mut policy).last_resort);
    script.set(1, Ready);
    let update = script.update(&mut policy);
    assert!(!update.last_resort);
    assert!(script.picks(&*update.picker, 9).iter().all(|id| *id < 2));
}

#[test]
fn ejections_are_taken_back_below_outlier_detection() {
    let config = OutlierDetectionConfig {
        max_ejection_percent: 100,
        failure_percentage: Some(FailurePercentageEjection {
            request_volume: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut script = Script::new(&[Ready; 6]);
    let mut policy = OutlierDetection::new(config, Box::new(around_round_robin(50)));
    script.update(&mut policy);
    for (bad, panics) in [(&[0, 1, 2][..], false), (&[3], true)] {
        for id in 0..6 {
            let outcome = if bad.contains(&id) {
                Outcome::Failure(Code::Unavailable)
            } else {
                Outcome::Success
            };
            script.end(id, 10, outcome);
        }
        script.advance(Duration::from_secs(10));
        let update = script.update(&mut policy);
        assert_eq!(update.last_resort, panics);
        let mut picks = script.picks(&*update.picker, 6);
        picks.sort_unstable();
        picks.dedup();
        assert_eq!(picks.len(), if panics { 6 } else { 3 });
    }
}

#[test]
fn a_new_config_counts_from_the_next_update_on() {
    let script = fleet(2, 1);
    let build = |healthy_percent| {
        let config = PanicThresholdConfig { healthy_percent };
        BuildWrapper::<PanicThreshold>::new(config, Arc::new(RoundRobin::new))
    };
    let mut policy = build(50).build();
    assert!(!script.update(&mut *policy).last_resort);
    assert!(build(70).reconfigure(&mut *policy));
    assert!(script.update(&mut *policy).last_resort);
}
