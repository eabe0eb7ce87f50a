use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use evenkeel_policy::breaker::{AdaptiveConfig, Counts, FailureRatioConfig};
use tonic::Code;

use super::*;

const FAILURE: Outcome = Outcome::Failure(Code::Unavailable);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn shared(config: BreakerConfig) -> Shared {
    Shared::new(Arc::new(config), None, None)
}

/// Windows that never trip nor shed: one that forgets nothing, and one whose buckets turn all the
/// time.
fn counting() -> BreakerConfig {
    BreakerConfig {
        failure_ratio: Some(FailureRatioConfig {
            minimum_calls: u32::MAX,
            window: DAY,
            buckets: 1,
            ..FailureRatioConfig::default()
        }),
        adaptive: Some(AdaptiveConfig {
            minimum_requests: u32::MAX,
            window: Duration::from_millis(10),
            buckets: 10,
            ..AdaptiveConfig::default()
        }),
        ..BreakerConfig::consecutive(0)
    }
}

fn counts(counts: Option<Counts>) -> [u64; 3] {
    let counts = counts.expect("it has that rule");
    [counts.successes, counts.failures, counts.refused]
}

#[test]
fn windows_that_many_threads_count_in_lose_nothing_while_their_buckets_turn() {
    const CALLS: u64 = 20_000;
    let shared = shared(counting());
    thread::scope(|scope| {
        for thread in 0..4 {
            let shared = &shared;
            scope.spawn(move || {
                for call in 0..CALLS {
                    let admission = shared.admit(Admit::Normally).expect("it is closed");
                    let outcome = match (call + thread) % 4 {
                        0 => FAILURE,
                        _ => Outcome::Success,
                    };
                    shared.settle(admission, outcome, "");
                }
            });
        }
    });
    let status = shared.advance();
    assert_eq!(counts(status.failure_ratio), [3 * CALLS, CALLS, 0]);
    let recent = counts(status.adaptive).iter().sum::<u64>();
    assert!(recent <= 4 * CALLS);
}

#[test]
fn what_was_admitted_before_a_change_of_state_is_not_counted_after_it() {
    let shared = shared(counting());
    let early = shared.admit(Admit::Normally).expect("it is closed");
    shared.change("", Machine::hold_open);
    shared.change("", Machine::reset);
    shared.settle(early, FAILURE, "");
    shared.settle(early, Outcome::Success, "");
    assert_eq!(counts(shared.advance().failure_ratio), [0, 0, 0]);
    let admission = shared.admit(Admit::Normally).expect("it is closed");
    shared.settle(admission, FAILURE, "");
    assert_eq!(counts(shared.advance().failure_ratio), [0, 1, 0]);
}

#[test]
fn every_call_of_many_threads_is_sent_or_refused_and_counted_once() {
    const CALLS: u64 = 10_000;
    let mut config = BreakerConfig::adaptive();
    config.adaptive = Some(AdaptiveConfig {
        minimum_requests: 1,
        window: DAY,
        buckets: 1,
        ..AdaptiveConfig::default()
    });
    let shared = shared(config);
    let refused: u64 = thread::scope(|scope| {
        let run = || {
            let mut refused = 0;
            for _ in 0..CALLS {
                match shared.admit(Admit::Normally) {
                    Ok(admission) => shared.settle(admission, FAILURE, "down"),
                    Err(refusal) => {
                        assert!(refusal.shed.is_some_and(|it| it > 0.0 && it < 1.0));
                        refused += 1;
                    }
                }
            }
            refused
        };
        let threads = [scope.spawn(run), scope.spawn(run), scope.spawn(run)];
        threads.map(|it| it.join().expect("it ends")).iter().sum()
    });
    let sent = 3 * CALLS - refused;
    assert_eq!(counts(shared.advance().adaptive), [0, sent, refused]);
    assert!(sent > 0 && refused > sent, "{sent} sent, {refused} refused");
    assert_eq!(shared.advance().state, BreakerState::Closed);
}

#[test]
fn a_call_that_changes_nothing_takes_no_lock() {
    for (config, outcomes) in [
        (BreakerConfig::default(), &[Outcome::Success][..]),
        (BreakerConfig::ratio(0.5), &[Outcome::Success, FAILURE]),
        (BreakerConfig::adaptive(), &[Outcome::Success, FAILURE]),
        (counting(), &[Outcome::Success, FAILURE]),
    ] {
        // Buckets that do not turn meanwhile: that takes the lock.
        let mut config = config;
        if let Some(ratio) = &mut config.failure_ratio {
            (ratio.window, ratio.buckets) = (DAY, 1);
        }
        if let Some(adaptive) = &mut config.adaptive {
            (adaptive.window, adaptive.buckets) = (DAY, 1);
        }
        let shared = Arc::new(shared(config));
        let held = shared.state.lock();
        let (done, ended) = mpsc::channel();
        let (calling, outcomes) = (Arc::clone(&shared), outcomes.to_vec());
        thread::spawn(move || {
            for outcome in outcomes {
                let admission = calling.admit(Admit::Normally).expect("it is closed");
                calling.settle(admission, outcome, "");
            }
            done.send(()).expect("the test waits");
        });
        // So long only if it waits for the lock.
        let ended = ended.recv_timeout(Duration::from_secs(30));
        drop(held);
        ended.unwrap_or_else(|_| panic!("it takes the lock: {config:?}"));
    }
}
