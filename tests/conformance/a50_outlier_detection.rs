//! gRFC A50 (outlier detection) and what A61 changes in it: the rules, of a policy that JSON has chosen.

use std::time::Duration;

use evenkeel_core::ConnectivityState::{Connecting, Ready, TransientFailure};
use evenkeel_core::{Outcome, Policy};
use evenkeel_policy::script::Script;
use evenkeel_service_config::ServiceConfig;
use tonic::Code;

const FAILURE_PERCENTAGE: &str = r#""maxEjectionPercent": 100, "failurePercentageEjection": {}"#;
const NOBODY: [u64; 0] = [];
const SUCCESS_RATE: &str = r#""maxEjectionPercent": 100, "successRateEjection": {}"#;

fn config(fields: &str) -> ServiceConfig {
    let json = format!(
        r#"{{"loadBalancingConfig": [{{"outlier_detection_experimental":
            {{"childPolicy": [{{"round_robin": {{}}}}]{fields}}}}}]}}"#
    );
    ServiceConfig::parse(&json).unwrap()
}

fn policy(fields: &str) -> Box<dyn Policy> {
    config(&format!(", {fields}")).load_balancing().build()
}

/// READY endpoints around which time passes and calls end.
struct Fleet {
    script: Script,
    policy: Box<dyn Policy>,
}

impl Fleet {
    fn new(endpoints: usize, fields: &str) -> Self {
        let script = Script::new(&vec![Ready; endpoints]);
        let mut policy = policy(fields);
        script.update(&mut *policy);
        Self { script, policy }
    }

    /// Lets so many calls of an endpoint succeed, and so many fail.
    fn call(&mut self, id: u64, succeed: usize, fail: usize) {
        self.script.end(id, succeed, Outcome::Success);
        self.script
            .end(id, fail, Outcome::Failure(Code::Unavailable));
    }

    /// An interval in which all calls succeed but those of `bad`; who is ejected after it.
    fn interval(&mut self, bad: &[u64]) -> Vec<u64> {
        let ids: Vec<_> = self.script.endpoints.iter().map(|one| one.id.0).collect();
        for id in ids {
            let fail = if bad.contains(&id) { 100 } else { 0 };
            self.call(id, 100 - fail, fail);
        }
        self.wait(10)
    }

    fn wait(&mut self, seconds: u64) -> Vec<u64> {
        self.script.advance(Duration::from_secs(seconds));
        self.ejected()
    }

    fn ejected(&mut self) -> Vec<u64> {
        let update = self.script.update(&mut *self.policy);
        let places: Vec<_> = update.ejected.iter().map(|(place, _)| *place).collect();
        self.script.ids(&places)
    }

    /// Gives the policy another config while it runs.
    fn reconfigure(&mut self, fields: &str) {
        let config = config(fields);
        let build = config.load_balancing().policy();
        assert!(build.reconfigure(&mut *self.policy));
    }

    /// How many sweeps it takes until nobody is ejected any more.
    fn sweeps_out(&mut self) -> usize {
        let sweeps = (1..100).find(|_| self.wait(10).is_empty());
        sweeps.expect("an ejection ends")
    }
}

#[test]
fn the_calls_of_an_interval_are_judged_at_its_end() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    for id in 0..5 {
        fleet.call(id, 0, if id == 3 { 100 } else { 0 });
        fleet.call(id, if id == 3 { 0 } else { 100 }, 0);
    }
    assert_eq!(fleet.wait(9), NOBODY);
    assert_eq!(fleet.wait(1), [3]);
}

#[test]
fn success_rate_ejects_below_the_mean_minus_stdev_times_factor() {
    // 1, 1, 1, 1 and 0: mean 0.8, population deviation 0.4.
    for (stdev_factor, expected) in [(1_900, &[2][..]), (1_999, &[2]), (2_000, &[]), (2_100, &[])] {
        let fields = format!(
            r#""maxEjectionPercent": 100, "successRateEjection": {{"stdevFactor": {stdev_factor}}}"#
        );
        assert_eq!(
            Fleet::new(5, &fields).interval(&[2]),
            expected,
            "{stdev_factor}"
        );
    }
}

#[test]
fn failure_percentage_ejects_strictly_above_the_threshold() {
    for (failed, expected) in [(85, &[][..]), (86, &[1])] {
        let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
        for id in 0..5 {
            let failed = if id == 1 { failed } else { 0 };
            fleet.call(id, 100 - failed, failed);
        }
        assert_eq!(fleet.wait(10), expected, "{failed} %");
    }
}

#[test]
fn endpoints_with_less_than_the_request_volume_are_no_candidates() {
    for (fields, calls, expected) in [
        (SUCCESS_RATE, 99, &[][..]),
        (SUCCESS_RATE, 100, &[5]),
        (FAILURE_PERCENTAGE, 49, &[]),
        (FAILURE_PERCENTAGE, 50, &[5]),
    ] {
        let mut fleet = Fleet::new(6, fields);
        for id in 0..5 {
            fleet.call(id, 100, 0);
        }
        fleet.call(5, 0, calls);
        assert_eq!(fleet.wait(10), expected, "{fields}, {calls} calls");
    }
}

#[test]
fn fewer_candidates_than_minimum_hosts_are_not_judged() {
    for fields in [SUCCESS_RATE, FAILURE_PERCENTAGE] {
        assert_eq!(Fleet::new(4, fields).interval(&[1]), NOBODY, "{fields}");
        assert_eq!(Fleet::new(5, fields).interval(&[1]), [1], "{fields}");
    }
}

#[test]
fn ejections_end_once_max_ejection_percent_is_reached_and_one_may_exceed_it() {
    for (endpoints, percent, expected) in [
        (5, 10, 1),
        (10, 10, 1),
        (10, 11, 2),
        (10, 30, 3),
        (10, 0, 0),
    ] {
        let fields =
            format!(r#""maxEjectionPercent": {percent}, "failurePercentageEjection": {{}}"#);
        let mut fleet = Fleet::new(endpoints, &fields);
        let all: Vec<_> = (0..endpoints as u64).collect();
        for _ in 0..2 {
            assert_eq!(
                fleet.interval(&all).len(),
                expected,
                "{percent} % of {endpoints}"
            );
        }
    }
    let by_default = r#""failurePercentageEjection": {}"#;
    assert_eq!(Fleet::new(10, by_default).interval(&[0, 1, 2]).len(), 1);
}

#[test]
fn an_outlier_is_ejected_with_the_probability_of_the_enforcement_percentage() {
    for (percent, expected) in [(0, 0..=0), (50, 30..=70), (100, 100..=100)] {
        let fields = format!(
            r#""maxEjectionPercent": 100,
                "failurePercentageEjection": {{"enforcementPercentage": {percent}}}"#
        );
        let mut fleet = Fleet::new(100, &fields);
        fleet.script.random = 5;
        let all: Vec<_> = (0..100).collect();
        let ejected = fleet.interval(&all).len();
        assert!(expected.contains(&ejected), "{percent} %: {ejected}");
    }
}

#[test]
fn every_status_but_ok_is_a_failure() {
    for code in 1..=16 {
        let mut fleet = Fleet::new(6, FAILURE_PERCENTAGE);
        for id in 1..6 {
            fleet.call(id, 100, 0);
        }
        let outcome = Outcome::Failure(Code::from_i32(code));
        fleet.script.end(0, 100, outcome);
        assert_eq!(fleet.wait(10), [0], "{code}");
    }
}

#[test]
fn ejections_last_base_times_multiplier_until_the_sweep_after() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    // More than 30, 60, 90… seconds, in sweeps of 10.
    for expected in [4, 7, 10] {
        assert_eq!(fleet.interval(&[2]), [2]);
        assert_eq!(fleet.sweeps_out(), expected);
    }
}

#[test]
fn a_sweep_that_finds_it_in_takes_one_from_the_multiplier() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    for _ in 0..2 {
        fleet.interval(&[2]);
        fleet.sweeps_out();
    }
    fleet.interval(&[]);
    fleet.interval(&[2]);
    assert_eq!(fleet.sweeps_out(), 7, "the second again, not the third");
    for _ in 0..10 {
        fleet.interval(&[]);
    }
    fleet.interval(&[2]);
    assert_eq!(fleet.sweeps_out(), 4, "never less than the first");
}

#[test]
fn the_longest_ejection_is_max_ejection_time_or_base_if_that_is_longer() {
    for (times, expected) in [
        (r#""maxEjectionTime": "45s""#, [4, 5, 5]),
        (
            r#""baseEjectionTime": "20s", "maxEjectionTime": "10s""#,
            [3, 3, 3],
        ),
        (r#""baseEjectionTime": "350s""#, [36, 36, 36]),
        (r#""baseEjectionTime": "200s""#, [21, 31, 31]),
    ] {
        let mut fleet = Fleet::new(5, &format!("{FAILURE_PERCENTAGE}, {times}"));
        for expected in expected {
            fleet.interval(&[2]);
            assert_eq!(fleet.sweeps_out(), expected, "{times}");
        }
    }
}

#[test]
fn an_ejected_endpoint_is_in_transient_failure_to_the_child_and_stays_connected() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    fleet.interval(&[2]);
    let update = fleet.script.update(&mut *fleet.policy);
    let picks = fleet.script.picks(&*update.picker, 100);
    assert!(!picks.contains(&2));
    assert!(update.disconnect.is_empty());
    let (_, reason) = &update.ejected[0];
    assert_eq!(
        reason.to_string(),
        "ejected as an outlier for 30s: 100.0 % of its calls failed, 85 % are tolerated"
    );
    for state in [Connecting, TransientFailure, Ready] {
        fleet.script.set(2, state);
        assert_eq!(fleet.ejected(), [2], "{state}");
    }
}

#[test]
fn an_endpoint_that_is_removed_and_added_again_starts_afresh() {
    let mut fleet = Fleet::new(6, FAILURE_PERCENTAGE);
    fleet.interval(&[2]);
    fleet.script.remove(2);
    assert_eq!(fleet.ejected(), NOBODY);
    fleet.script.add(2, Ready);
    assert_eq!(fleet.ejected(), NOBODY);
    fleet.interval(&[2]);
    assert_eq!(fleet.sweeps_out(), 4);
}

#[test]
fn a_new_config_ends_the_interval_after_what_is_left_of_the_new_one() {
    let of = |seconds| format!(r#", {FAILURE_PERCENTAGE}, "interval": "{seconds}s""#);
    for (interval, left) in [(20, 14), (10, 4), (7, 1)] {
        let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
        fleet.wait(6);
        fleet.reconfigure(&of(interval));
        let due = fleet.script.update(&mut *fleet.policy).wake_at;
        let expected = fleet.script.now() + Duration::from_secs(left);
        assert_eq!(due, Some(expected), "{interval} s");
    }
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    fleet.call(2, 0, 100);
    for id in [0, 1, 3, 4] {
        fleet.call(id, 100, 0);
    }
    fleet.wait(6);
    fleet.reconfigure(&of(5));
    assert_eq!(fleet.ejected(), [2], "it is over already");
}

#[test]
fn without_an_algorithm_all_are_let_in_and_no_timer_runs() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    fleet.interval(&[2]);
    fleet.reconfigure("");
    let update = fleet.script.update(&mut *fleet.policy);
    assert!(update.ejected.is_empty() && update.wake_at.is_none());
    assert_eq!(fleet.interval(&[1]), NOBODY);

    fleet.reconfigure(&format!(", {FAILURE_PERCENTAGE}"));
    assert_eq!(fleet.ejected(), NOBODY);
    assert_eq!(fleet.wait(10), NOBODY, "nothing was counted meanwhile");
    fleet.interval(&[2]);
    assert_eq!(fleet.sweeps_out(), 4, "the multiplier is 0 again");
}

/// Not in gRFC A50, where a channel whose endpoints are all ejected fails.
#[test]
fn a_channel_whose_endpoints_are_all_ejected_uses_them() {
    let mut fleet = Fleet::new(5, FAILURE_PERCENTAGE);
    assert_eq!(fleet.interval(&[0, 1, 2, 3, 4]).len(), 5);
    let update = fleet.script.update(&mut *fleet.policy);
    assert_eq!((update.state, update.last_resort), (Ready, true));
    let mut picks = fleet.script.picks(&*update.picker, 5);
    picks.sort_unstable();
    assert_eq!(picks, [0, 1, 2, 3, 4]);
}
