use super::*;
use crate::CodeSet;

const MILLI: Duration = Duration::from_millis(1);

#[expect(
    clippy::disallowed_methods,
    reason = "an origin; only differences matter"
)]
fn start() -> Instant {
    Instant::now()
}

fn ended(stats: &EndpointStats, outcome: Outcome) {
    stats.begin();
    stats.end(outcome);
}

#[test]
fn failures_are_counted_by_their_code() {
    let stats = EndpointStats::default();
    ended(&stats, Outcome::Success);
    assert_eq!(stats.failed_with(Code::Unavailable), 0);
    for code in [Code::Unavailable, Code::Unavailable, Code::NotFound] {
        ended(&stats, Outcome::Failure(code));
    }
    assert_eq!(stats.failed(), 3);
    assert_eq!(stats.failed_with(Code::Unavailable), 2);
    assert_eq!(stats.failed_with(Code::NotFound), 1);
    assert_eq!(stats.in_flight(), 0);
}

#[test]
fn a_slower_attempt_counts_at_once_and_faster_ones_little_by_little() {
    let (stats, start) = (EndpointStats::default(), start());
    let config = LatencyConfig::default();
    assert_eq!(stats.latency(), None);
    let record = |at: Duration, took| {
        stats.record_latency(start + at, took, Outcome::Success, &config);
        stats.latency().unwrap()
    };
    assert_eq!(record(Duration::ZERO, MILLI), MILLI);
    assert_eq!(record(MILLI, 50 * MILLI), 50 * MILLI);
    let soon = record(2 * MILLI, MILLI);
    assert!(soon > 49 * MILLI && soon < 50 * MILLI, "{soon:?}");
    let late = record(2 * MILLI + 5 * config.decay, MILLI);
    assert!(late < 2 * MILLI, "{late:?}");
}

#[test]
fn an_endpoint_that_fails_at_once_is_slow_and_no_more_than_10_s_so() {
    let (stats, start) = (EndpointStats::default(), start());
    let config = LatencyConfig::default();
    let failure = Outcome::Failure(Code::Unavailable);
    stats.record_latency(start, MILLI / 10, failure, &config);
    assert!(stats.latency().unwrap() >= config.failure_floor);
    for _ in 0..100 {
        stats.record_latency(start, MILLI / 10, failure, &config);
    }
    assert_eq!(stats.latency(), Some(Duration::from_secs(10)));
    stats.record_latency(start, MILLI, Outcome::Abandoned, &config);
    assert_eq!(stats.latency(), Some(Duration::from_secs(10)));
}

#[test]
fn who_was_abandoned_is_slower_than_that_and_never_faster() {
    let (stats, start) = (EndpointStats::default(), start());
    let config = LatencyConfig::default();
    let record = |at, took, outcome| {
        stats.record_latency(start + at, took, outcome, &config);
        stats.latency().unwrap()
    };
    assert_eq!(record(MILLI, 30 * MILLI, Outcome::Abandoned), 30 * MILLI);
    assert_eq!(record(MILLI, MILLI, Outcome::Abandoned), 30 * MILLI);
    assert_eq!(record(MILLI, 90 * MILLI, Outcome::Abandoned), 90 * MILLI);
    let cancelled = Outcome::Failure(Code::Cancelled);
    assert_eq!(record(MILLI, 900 * MILLI, cancelled), 90 * MILLI);
}

#[test]
fn a_failure_never_makes_an_endpoint_look_faster() {
    let config = LatencyConfig::default();
    let failure = Outcome::Failure(Code::Unavailable);
    for (success, failed, seconds) in [(30, 0, 30), (30, 40, 40), (8, 0, 10), (90, 900, 60)] {
        let (stats, start) = (EndpointStats::default(), start());
        let record = |at, took, outcome| {
            let (at, took) = (start + config.decay * at, Duration::from_secs(took));
            stats.record_latency(at, took, outcome, &config);
        };
        record(0, success, Outcome::Success);
        record(5, failed, failure);
        assert_eq!(stats.latency(), Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn an_answer_counts_for_as_long_as_it_took_whatever_its_code() {
    let config = LatencyConfig::default();
    for number in 1..=16 {
        let (stats, start) = (EndpointStats::default(), start());
        let code = Code::from_i32(number);
        stats.record_latency(start, MILLI, Outcome::Failure(code), &config);
        let expected = match code {
            Code::Cancelled => None,
            code if config.failures.contains(code) => Some(config.failure_floor),
            _ => Some(MILLI),
        };
        assert_eq!(stats.latency(), expected, "{code:?}");
    }
}

#[test]
fn whatever_is_configured_a_latency_stays_within_its_bounds() {
    let longest = Duration::from_secs(60);
    for penalty in [f64::INFINITY, f64::MAX, f64::NAN, -1.0, 0.0] {
        for span in [Duration::ZERO, Duration::MAX] {
            let config = LatencyConfig {
                decay: span,
                failures: CodeSet::SERVER_FAILURES,
                failure_penalty: penalty,
                failure_floor: span,
            };
            let (stats, start) = (EndpointStats::default(), start());
            for outcome in [Outcome::Failure(Code::Unavailable), Outcome::Success] {
                for took in [Duration::ZERO, Duration::MAX, MILLI] {
                    stats.record_latency(start, took, outcome, &config);
                    let latency = stats.latency().unwrap();
                    assert!(!latency.is_zero() && latency <= longest, "{latency:?}");
                }
            }
        }
    }
}

#[test]
fn who_recovers_is_as_fast_as_before_in_little_more_than_a_minute() {
    let (stats, start) = (EndpointStats::default(), start());
    let config = LatencyConfig::default();
    for _ in 0..100 {
        let failure = Outcome::Failure(Code::Unavailable);
        stats.record_latency(start, MILLI, failure, &config);
    }
    for second in 1..=70 {
        let now = start + Duration::from_secs(second);
        stats.record_latency(now, 5 * MILLI, Outcome::Success, &config);
    }
    assert!(stats.latency().unwrap() < 20 * MILLI);
}

#[test]
fn what_a_pick_reads_of_an_endpoint_is_one_cache_line() {
    assert_eq!(size_of::<EndpointStats>(), 64);
}

#[test]
fn the_newest_load_counts_and_a_restarted_row_begins_with_the_next_report() {
    let (stats, start) = (EndpointStats::default(), start());
    assert_eq!(stats.load(), None);
    stats.record_load(start, 10.0);
    stats.record_load(start + MILLI, 20.0);
    let load = stats.load().unwrap();
    assert_eq!((load.weight, load.reported_at), (20.0, start + MILLI));
    assert_eq!(load.since, Some(start));
    stats.restart_load();
    assert_eq!(stats.load().unwrap().since, None);
    stats.record_load(start + 2 * MILLI, 5.0);
    assert_eq!(stats.load().unwrap().since, Some(start + 2 * MILLI));
}
