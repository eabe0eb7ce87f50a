use super::*;

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
fn an_endpoint_that_fails_at_once_is_slow_and_no_more_than_a_minute_so() {
    let (stats, start) = (EndpointStats::default(), start());
    let config = LatencyConfig::default();
    let failure = Outcome::Failure(Code::Unavailable);
    stats.record_latency(start, MILLI / 10, failure, &config);
    assert!(stats.latency().unwrap() >= config.failure_floor);
    for _ in 0..100 {
        stats.record_latency(start, MILLI / 10, failure, &config);
    }
    assert_eq!(stats.latency(), Some(Duration::from_secs(60)));
    stats.record_latency(start, MILLI, Outcome::Abandoned, &config);
    assert_eq!(stats.latency(), Some(Duration::from_secs(60)));
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
