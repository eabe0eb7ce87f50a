use std::time::Duration;

use evenkeel_core::ConnectivityState::Ready;
use evenkeel_core::Outcome;
use tonic::Code;

use super::super::{FailurePercentageEjection, SuccessRateEjection};
use super::*;
use crate::script::Script;

const INTERVAL: Duration = Duration::from_secs(10);

/// Endpoints that get calls, and a machine that sweeps.
struct Fleet {
    script: Script,
    machine: Machine,
}

impl Fleet {
    fn new(endpoints: usize, config: OutlierDetectionConfig) -> Self {
        let script = Script::new(&vec![Ready; endpoints]);
        let mut machine = Machine::new(config);
        machine.update(script.now(), &script.view());
        Self { script, machine }
    }

    /// Lets every endpoint do 100 calls, of which those of `bad` fail.
    fn call(&mut self, bad: &[u64]) {
        for id in 0..self.script.endpoints.len() as u64 {
            let outcome = if bad.contains(&id) {
                Outcome::Failure(Code::Internal)
            } else {
                Outcome::Success
            };
            self.script.end(id, 100, outcome);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.script.advance(time);
        self.machine.update(self.script.now(), &self.script.view());
    }

    /// One interval in which those of `bad` fail; who is ejected after it.
    fn interval(&mut self, bad: &[u64]) -> Vec<usize> {
        self.call(bad);
        self.wait(INTERVAL);
        self.ejected()
    }

    fn ejected(&self) -> Vec<usize> {
        let places = 0..self.script.endpoints.len();
        places
            .filter(|place| self.machine.ejected(*place).is_some())
            .collect()
    }
}

fn failure_percentage_config() -> OutlierDetectionConfig {
    OutlierDetectionConfig {
        max_ejection_percent: 100,
        failure_percentage: Some(FailurePercentageEjection::default()),
        ..Default::default()
    }
}

#[test]
fn an_outlier_is_ejected_by_the_sweep_at_the_end_of_the_interval() {
    let mut fleet = Fleet::new(5, failure_percentage_config());
    fleet.call(&[2]);
    fleet.wait(INTERVAL - Duration::from_nanos(1));
    assert_eq!(fleet.ejected(), []);
    assert_eq!(
        fleet.machine.wake_at(),
        Some(fleet.script.now() + Duration::from_nanos(1))
    );
    fleet.wait(Duration::from_nanos(1));
    assert_eq!(fleet.ejected(), [2]);
    assert_eq!(fleet.machine.wake_at(), Some(fleet.script.now() + INTERVAL));
    assert_eq!(
        fleet.machine.ejected(2).unwrap().to_string(),
        "ejected as an outlier for 30s: 100.0 % of its calls failed, 85 % are tolerated"
    );
}

#[test]
fn each_interval_counts_its_own_calls_only() {
    let mut fleet = Fleet::new(5, failure_percentage_config());
    fleet.script.end(2, 49, Outcome::Failure(Code::Internal));
    assert_eq!(fleet.interval(&[]), [], "149 calls, 49 failed");
    fleet.script.end(2, 49, Outcome::Failure(Code::Internal));
    fleet.wait(INTERVAL);
    assert_eq!(fleet.ejected(), [], "49 calls are not enough");
    assert_eq!(fleet.interval(&[2]), [2]);
}

#[test]
fn calls_that_were_counted_before_the_policy_was_there_do_not_count() {
    let mut script = Script::new(&[Ready; 5]);
    for id in 0..5 {
        script.end(id, 100, Outcome::Failure(Code::Internal));
    }
    let mut machine = Machine::new(failure_percentage_config());
    machine.update(script.now(), &script.view());
    script.advance(INTERVAL);
    machine.update(script.now(), &script.view());
    assert!((0..5).all(|place| machine.ejected(place).is_none()));
}

#[test]
fn any_status_but_ok_is_a_failure_and_an_abandoned_call_is_neither() {
    for (outcome, expected) in [
        (Outcome::Success, &[][..]),
        (Outcome::Abandoned, &[]),
        (Outcome::Failure(Code::NotFound), &[4]),
        (Outcome::Failure(Code::Cancelled), &[4]),
    ] {
        let mut fleet = Fleet::new(6, failure_percentage_config());
        for id in 0..6 {
            let outcome = if id == 4 { outcome } else { Outcome::Success };
            fleet.script.end(id, 50, outcome);
        }
        fleet.wait(INTERVAL);
        assert_eq!(fleet.ejected(), expected, "{outcome:?}");
    }
}

#[test]
fn an_ejected_endpoint_is_let_in_by_the_first_sweep_after_its_time() {
    let mut fleet = Fleet::new(5, failure_percentage_config());
    assert_eq!(fleet.interval(&[2]), [2]);
    assert_eq!(fleet.interval(&[]), [2], "10 s");
    assert_eq!(fleet.interval(&[]), [2], "20 s");
    assert_eq!(fleet.interval(&[]), [2], "30 s is not more than 30 s");
    assert_eq!(fleet.interval(&[]), []);

    let mut fleet = Fleet::new(5, failure_percentage_config());
    fleet.interval(&[2]);
    fleet.wait(INTERVAL);
    fleet.wait(INTERVAL);
    fleet.wait(INTERVAL + Duration::from_nanos(1));
    assert_eq!(fleet.ejected(), [], "a timer that is late");
}

/// How many intervals it takes until nobody is ejected any more.
fn intervals_out(fleet: &mut Fleet) -> usize {
    let out = (1..100).find(|_| fleet.interval(&[]).is_empty());
    out.expect("an ejection ends")
}

#[test]
fn each_ejection_lasts_longer_up_to_the_bound_and_each_good_sweep_takes_one_back() {
    let mut fleet = Fleet::new(
        5,
        OutlierDetectionConfig {
            max_ejection_time: Duration::from_secs(75),
            ..failure_percentage_config()
        },
    );
    for expected in [4, 7, 8, 8] {
        fleet.interval(&[2]);
        assert_eq!(intervals_out(&mut fleet), expected);
    }
    // Four times it was ejected; it is in for three sweeps.
    for _ in 0..3 {
        assert_eq!(fleet.interval(&[]), []);
    }
    fleet.interval(&[2]);
    assert_eq!(intervals_out(&mut fleet), 7);
}

#[test]
fn the_ejection_time_is_never_bounded_below_its_base() {
    let mut fleet = Fleet::new(
        5,
        OutlierDetectionConfig {
            base_ejection_time: Duration::from_secs(45),
            max_ejection_time: Duration::from_secs(1),
            ..failure_percentage_config()
        },
    );
    for _ in 0..2 {
        fleet.interval(&[2]);
        assert_eq!(intervals_out(&mut fleet), 5);
    }
    let config = OutlierDetectionConfig {
        base_ejection_time: Duration::MAX,
        ..failure_percentage_config()
    };
    assert_eq!(config.ejection_time(u32::MAX), Duration::MAX);
}

#[test]
fn no_more_are_ejected_once_the_percentage_is_reached() {
    for (endpoints, percent, bad, expected) in [
        (10, 10, 3, 1),
        (10, 0, 10, 0),
        (10, 15, 5, 2),
        (10, 20, 5, 2),
        (10, 100, 10, 10),
        (10, 1_000, 10, 10),
        (5, 10, 5, 1),
    ] {
        let config = OutlierDetectionConfig {
            max_ejection_percent: percent,
            ..failure_percentage_config()
        };
        let mut fleet = Fleet::new(endpoints, config);
        let bad: Vec<u64> = (0..bad).collect();
        let case = format!("{percent} % of {endpoints}");
        assert_eq!(fleet.interval(&bad).len(), expected, "{case}");
        assert_eq!(
            fleet.interval(&bad).len(),
            expected,
            "{case}, the next sweep"
        );
    }
}

#[test]
fn who_is_ejected_is_not_ejected_again_by_the_other_algorithm_or_by_late_calls() {
    let mut fleet = Fleet::new(
        6,
        OutlierDetectionConfig {
            success_rate: Some(SuccessRateEjection::default()),
            ..failure_percentage_config()
        },
    );
    assert_eq!(fleet.interval(&[2]), [2]);
    assert_eq!(fleet.interval(&[2]), [2]);
    assert_eq!(fleet.interval(&[2]), [2]);
    assert_eq!(fleet.interval(&[]), [2]);
    assert_eq!(fleet.interval(&[]), [], "30 s after the first sweep");
}

#[test]
fn either_algorithm_ejects_without_the_other() {
    let only_success_rate = OutlierDetectionConfig {
        success_rate: Some(SuccessRateEjection::default()),
        failure_percentage: None,
        ..failure_percentage_config()
    };
    for config in [failure_percentage_config(), only_success_rate] {
        let mut fleet = Fleet::new(6, config);
        assert_eq!(fleet.interval(&[5]), [5]);
    }
}

#[test]
fn an_outlier_is_ejected_with_the_probability_that_is_enforced() {
    for (enforcement_percentage, expected) in [(0, 0..=0), (30, 240..=360), (100, 1_000..=1_000)] {
        let mut fleet = Fleet::new(
            1_000,
            OutlierDetectionConfig {
                failure_percentage: Some(FailurePercentageEjection {
                    enforcement_percentage,
                    ..Default::default()
                }),
                ..failure_percentage_config()
            },
        );
        fleet.script.random = 7;
        let all: Vec<u64> = (0..1_000).collect();
        let ejected = fleet.interval(&all).len();
        assert!(
            expected.contains(&ejected),
            "{enforcement_percentage}: {ejected}"
        );
    }
}

#[test]
fn an_endpoint_that_goes_and_comes_back_is_a_new_one() {
    let mut fleet = Fleet::new(6, failure_percentage_config());
    assert_eq!(fleet.interval(&[2]), [2]);
    let gone = fleet.script.endpoints.remove(2);
    fleet.wait(Duration::ZERO);
    assert_eq!(fleet.ejected(), []);
    fleet.script.endpoints.push(gone);
    fleet.wait(Duration::ZERO);
    assert_eq!(fleet.ejected(), []);
    assert_eq!(fleet.interval(&[2]), [5], "it has the last place now");
    assert_eq!(intervals_out(&mut fleet), 4, "as if for the first time");
}

#[test]
fn an_ejection_follows_its_endpoint_to_another_place() {
    let mut fleet = Fleet::new(6, failure_percentage_config());
    fleet.interval(&[2]);
    fleet.script.endpoints.rotate_left(1);
    fleet.wait(Duration::ZERO);
    assert_eq!(fleet.ejected(), [1]);
    fleet.script.endpoints.reverse();
    fleet.wait(Duration::ZERO);
    assert_eq!(fleet.ejected(), [4]);
}

#[test]
fn a_new_interval_ends_when_it_would_have_if_it_had_been_the_old_one() {
    let mut fleet = Fleet::new(5, failure_percentage_config());
    let start = fleet.script.now();
    fleet.wait(Duration::from_secs(4));
    for (seconds, due) in [(60, 60), (5, 5), (4, 14)] {
        // The last is over at once: then the next one of 4 s begins, 10 s after the start.
        if seconds == 4 {
            fleet.script.advance(Duration::from_secs(6));
        }
        fleet.machine.configure(OutlierDetectionConfig {
            interval: Duration::from_secs(seconds),
            ..failure_percentage_config()
        });
        fleet.wait(Duration::ZERO);
        let expected = start + Duration::from_secs(due);
        assert_eq!(fleet.machine.wake_at(), Some(expected), "{seconds} s");
    }
}

#[test]
fn without_an_algorithm_nothing_is_counted_nobody_is_ejected_and_no_timer_runs() {
    let mut fleet = Fleet::new(5, failure_percentage_config());
    fleet.interval(&[2]);
    fleet.machine.configure(OutlierDetectionConfig::default());
    fleet.wait(Duration::ZERO);
    assert_eq!((fleet.ejected(), fleet.machine.wake_at()), (vec![], None));
    assert_eq!(fleet.interval(&[1]), []);

    fleet.call(&[1]);
    fleet.machine.configure(failure_percentage_config());
    fleet.wait(Duration::ZERO);
    assert_eq!(fleet.machine.wake_at(), Some(fleet.script.now() + INTERVAL));
    assert_eq!(fleet.interval(&[]), [], "what was before does not count");
    assert_eq!(fleet.interval(&[2]), [2]);
    assert_eq!(
        intervals_out(&mut fleet),
        4,
        "its first ejection is forgotten"
    );
}

#[test]
fn an_interval_of_no_time_is_one_of_100_ms() {
    let config = OutlierDetectionConfig {
        interval: Duration::ZERO,
        ..failure_percentage_config()
    };
    let fleet = Fleet::new(5, config);
    let expected = fleet.script.now() + Duration::from_millis(100);
    assert_eq!(fleet.machine.wake_at(), Some(expected));
}
