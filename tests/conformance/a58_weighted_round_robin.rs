//! gRFC A58 (weighted_round_robin) and A114 (custom metrics): the rules, of a policy that JSON has chosen.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Policy, ReadLoad};
use evenkeel_policy::script::Script;
use evenkeel_service_config::ServiceConfig;

fn policy(config: &str) -> Box<dyn Policy> {
    let json = format!(r#"{{"loadBalancingConfig": [{{"weighted_round_robin": {config}}}]}}"#);
    let config = ServiceConfig::parse(&json).unwrap();
    config.load_balancing().build()
}

fn reader(config: &str) -> Arc<dyn ReadLoad> {
    let update = Script::new(&[Ready]).update(&mut *policy(config));
    update.observe.load.expect("per-call reports are read")
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// An `OrcaLoadReport` on the wire.
#[derive(Clone, Default)]
struct Report(Vec<u8>);

impl Report {
    const CPU: u8 = 1;
    const MEMORY: u8 = 2;
    const RPS: u8 = 3;
    const UTILIZATION: u8 = 5;
    const RPS_FRACTIONAL: u8 = 6;
    const EPS: u8 = 7;
    const NAMED_METRICS: u8 = 8;
    const APPLICATION: u8 = 9;

    fn new(qps: f64) -> Self {
        Self::default().with(Self::RPS_FRACTIONAL, qps)
    }

    fn with(mut self, field: u8, value: f64) -> Self {
        self.0.push(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn entry(mut self, field: u8, key: &str, value: f64) -> Self {
        let mut entry = vec![1 << 3 | 2, key.len() as u8];
        entry.extend(key.bytes());
        let entry = Self(entry).with(2, value).0;
        self.0.extend([field << 3 | 2, entry.len() as u8]);
        self.0.extend(entry);
        self
    }
}

fn assert_weights(config: &str, reports: &[(Report, Option<f64>)]) {
    let reader = reader(config);
    for (report, expected) in reports {
        let actual = reader.weight(&report.0);
        let close = match (actual, expected) {
            (Some(actual), Some(expected)) => (actual / expected - 1.0).abs() < 1e-9,
            (actual, expected) => actual == *expected,
        };
        assert!(
            close,
            "{config} {:?}: {actual:?}, not {expected:?}",
            report.0
        );
    }
}

fn report(script: &mut Script, weights: &[(u64, f64)]) {
    let now = script.now();
    for (id, weight) in weights {
        script.find(*id).stats.record_load(now, *weight);
    }
}

/// How many of `picks` each endpoint gets after an update.
fn shares(script: &Script, policy: &mut dyn Policy, picks: usize) -> Vec<usize> {
    let picker = script.update(policy).picker;
    let picks = script.picks(&*picker, picks);
    let of = |id| picks.iter().filter(|pick| **pick == id).count();
    script.endpoints.iter().map(|one| of(one.id.0)).collect()
}

const BELIEVES_AT_ONCE: &str = r#"{"blackoutPeriod": "0s"}"#;

#[test]
fn utilization_is_that_of_the_application_else_that_of_the_cpu_and_never_memory() {
    let report = || Report::new(100.0);
    let application = report().with(Report::APPLICATION, 0.5);
    assert_weights(
        "{}",
        &[
            (application.clone().with(Report::CPU, 0.8), Some(200.0)),
            (report().with(Report::CPU, 0.8), Some(125.0)),
            (
                report()
                    .with(Report::APPLICATION, 0.0)
                    .with(Report::CPU, 0.8),
                Some(125.0),
            ),
            (
                report()
                    .with(Report::APPLICATION, f64::NAN)
                    .with(Report::CPU, 0.8),
                Some(125.0),
            ),
            (report().with(Report::MEMORY, 0.5), None),
            // Both may exceed 1.
            (report().with(Report::APPLICATION, 4.0), Some(25.0)),
        ],
    );
}

#[test]
fn a_report_without_calls_per_second_or_utilization_is_ignored() {
    let cpu = |report: Report| report.with(Report::CPU, 0.5);
    assert_weights(
        "{}",
        &[
            (Report::default(), None),
            (Report::new(100.0), None),
            (cpu(Report::default()), None),
            (cpu(Report::new(0.0)), None),
            (cpu(Report::new(-1.0)), None),
            (Report::new(100.0).with(Report::CPU, -0.5), None),
            // The old whole number of calls per second is not the one that counts.
            (cpu(Report(vec![Report::RPS << 3, 100])), None),
            (Report(b"garbled".to_vec()), None),
        ],
    );
}

#[test]
fn errors_count_as_utilization_times_the_penalty() {
    let report = Report::new(100.0).with(Report::CPU, 0.5);
    let failing = report.clone().with(Report::EPS, 20.0);
    for (config, weight) in [
        ("{}", 100.0 / 0.7),
        (r#"{"errorUtilizationPenalty": 0}"#, 200.0),
        (r#"{"errorUtilizationPenalty": 2.5}"#, 100.0),
    ] {
        assert_weights(
            config,
            &[
                (failing.clone(), Some(weight)),
                (report.clone(), Some(200.0)),
                (report.clone().with(Report::EPS, -20.0), Some(200.0)),
            ],
        );
    }
}

#[test]
fn a114_the_largest_configured_metric_is_the_utilization() {
    let report = Report::new(100.0)
        .with(Report::APPLICATION, 0.5)
        .with(Report::CPU, 0.25)
        .with(Report::MEMORY, 0.8)
        .entry(Report::NAMED_METRICS, "queue", 0.2)
        .entry(Report::NAMED_METRICS, "a.b", 2.0)
        .entry(Report::UTILIZATION, "disk", 0.1)
        .entry(Report::UTILIZATION, "nan", f64::NAN);
    for (names, utilization) in [
        (r#""cpu_utilization""#, 0.25),
        (r#""cpu_utilization", "mem_utilization""#, 0.8),
        (r#""named_metrics.queue", "utilization.disk""#, 0.2),
        // The key is what follows the first dot.
        (r#""named_metrics.a.b""#, 2.0),
        // None of them reported: the default.
        (r#""named_metrics.none", "utilization.nan""#, 0.5),
        // Other names are ignored.
        (r#""queue", "orca.queue""#, 0.5),
    ] {
        let config = format!(r#"{{"metricNamesForComputingUtilization": [{names}]}}"#);
        assert_weights(&config, &[(report.clone(), Some(100.0 / utilization))]);
    }
}

#[test]
fn per_call_reports_are_not_read_when_they_are_to_come_out_of_band() {
    let script = Script::new(&[Ready]);
    let update = script.update(&mut *policy(r#"{"enableOobLoadReport": true}"#));
    assert!(update.observe.load.is_none());
    let stream = update.observe.load_stream.expect("they are asked for");
    assert_eq!(stream.interval, seconds(10.0), "the default");
    let update = script.update(&mut *policy(
        r#"{"enableOobLoadReport": true, "oobReportingPeriod": "3s"}"#,
    ));
    let stream = update.observe.load_stream.expect("they are asked for");
    assert_eq!(stream.interval, seconds(3.0));
}

#[test]
fn a_weight_counts_from_exactly_the_end_of_its_blackout() {
    for (passed, expected) in [(9.999_999_999, [4, 4]), (10.0, [2, 6])] {
        let mut script = Script::new(&[Ready; 2]);
        let mut policy = policy("{}");
        script.update(&mut *policy);
        report(&mut script, &[(0, 1.0), (1, 3.0)]);
        script.advance(seconds(passed));
        assert_eq!(shares(&script, &mut *policy, 8), expected, "{passed} s");
    }
}

#[test]
fn a_weight_is_gone_when_it_is_exactly_as_old_as_its_expiration_and_blacked_out_again() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = policy("{}");
    script.update(&mut *policy);
    report(&mut script, &[(0, 1.0), (1, 3.0)]);
    script.advance(seconds(179.0));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6], "179 s");
    script.advance(seconds(1.0));
    assert_eq!(shares(&script, &mut *policy, 8), [4, 4], "180 s");
    report(&mut script, &[(0, 1.0), (1, 3.0)]);
    script.advance(seconds(9.0));
    assert_eq!(shares(&script, &mut *policy, 8), [4, 4]);
    script.advance(seconds(1.0));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6]);
}

#[test]
fn an_endpoint_that_becomes_ready_is_blacked_out_from_its_next_report_on() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = policy("{}");
    script.update(&mut *policy);
    report(&mut script, &[(0, 1.0), (1, 3.0)]);
    script.advance(seconds(20.0));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6]);
    script.set(1, Idle);
    script.update(&mut *policy);
    script.set(1, Ready);
    assert_eq!(shares(&script, &mut *policy, 8), [4, 4]);
    script.advance(seconds(20.0));
    assert_eq!(shares(&script, &mut *policy, 8), [4, 4], "no report yet");
    report(&mut script, &[(0, 1.0), (1, 3.0)]);
    script.advance(seconds(10.0));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6]);
}

#[test]
fn the_newest_report_replaces_the_others_without_averaging() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = policy(BELIEVES_AT_ONCE);
    script.update(&mut *policy);
    report(&mut script, &[(0, 100.0), (1, 1.0)]);
    report(&mut script, &[(0, 1.0), (1, 3.0)]);
    script.advance(seconds(1.0));
    assert_eq!(shares(&script, &mut *policy, 8), [2, 6]);
}

#[test]
fn with_fewer_than_two_weights_it_is_round_robin() {
    for weights in [&[][..], &[(1, 50.0)]] {
        let mut script = Script::new(&[Ready; 3]);
        let mut policy = policy(BELIEVES_AT_ONCE);
        script.update(&mut *policy);
        report(&mut script, weights);
        script.advance(seconds(1.0));
        assert_eq!(shares(&script, &mut *policy, 30), [10, 10, 10]);
    }
}

#[test]
fn endpoints_without_a_weight_get_the_mean_of_the_others() {
    let mut script = Script::new(&[Ready; 4]);
    let mut policy = policy(BELIEVES_AT_ONCE);
    script.update(&mut *policy);
    report(&mut script, &[(0, 10.0), (2, 30.0)]);
    script.advance(seconds(1.0));
    assert_eq!(shares(&script, &mut *policy, 80), [10, 20, 30, 20]);
}

#[test]
fn only_ready_endpoints_are_scheduled_and_a_change_among_them_is_taken_at_once() {
    let mut script = Script::new(&[Ready, Ready, Ready, Connecting]);
    let mut policy = policy(BELIEVES_AT_ONCE);
    script.update(&mut *policy);
    report(&mut script, &[(0, 10.0), (1, 20.0), (2, 30.0)]);
    script.set(1, TransientFailure);
    assert_eq!(shares(&script, &mut *policy, 40), [10, 0, 30, 0]);
}

#[test]
fn weights_are_taken_once_per_update_period_and_no_more_often_than_each_100_ms() {
    for (config, period) in [
        (r#"{"blackoutPeriod": "0s"}"#, 1.0),
        (
            r#"{"blackoutPeriod": "0s", "weightUpdatePeriod": "2s"}"#,
            2.0,
        ),
        (
            r#"{"blackoutPeriod": "0s", "weightUpdatePeriod": "0.001s"}"#,
            0.1,
        ),
    ] {
        let mut script = Script::new(&[Ready; 2]);
        let mut policy = policy(config);
        let wake_at = script.update(&mut *policy).wake_at;
        assert_eq!(wake_at, Some(script.now() + seconds(period)), "{config}");
        report(&mut script, &[(0, 1.0), (1, 3.0)]);
        script.advance(seconds(period - 0.001));
        assert_eq!(shares(&script, &mut *policy, 8), [4, 4], "{config}");
        script.advance(seconds(0.001));
        assert_eq!(shares(&script, &mut *policy, 8), [2, 6], "{config}");
    }
}

#[test]
fn rebuilding_the_scheduler_does_not_restart_the_rotation() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = policy(BELIEVES_AT_ONCE);
    script.update(&mut *policy);
    // One pick of each scheduler, and each is of other weights: a rotation that restarts would give all
    // to whoever comes first in it.
    const ROUNDS: usize = 600;
    let mut shares = [0_usize; 3];
    for round in 0..ROUNDS {
        let more = (round % 7) as f64 / 10.0;
        report(
            &mut script,
            &[(0, 10.0 + more), (1, 20.0 - more), (2, 30.0 + more)],
        );
        script.advance(seconds(1.0));
        let picker = script.update(&mut *policy).picker;
        shares[script.pick(&*picker, &[], 0) as usize] += 1;
    }
    for (share, expected) in shares.into_iter().zip([100, 200, 300]) {
        assert!(share.abs_diff(expected) <= 20, "{shares:?}");
    }
}
