//! The sliding window, and what is counted in it.

use super::super::window::Window;
use super::*;

fn total(successes: u64) -> Counts {
    Counts {
        successes,
        ..Counts::default()
    }
}

/// How much of `total` is in it.
fn inside(window: &Window, totals: Counts) -> u64 {
    totals.since(window.start()).successes
}

#[test]
fn an_event_is_in_the_window_until_its_bucket_is_the_oldest_but_one() {
    let length = Duration::from_millis(100);
    let millis = 1_000_000;
    // 10 buckets of 10 ms: when it happens, and when it is forgotten.
    for (at, forgotten) in [
        (0, 100),
        (1, 100),
        (9, 100),
        (10, 110),
        (19, 110),
        (95, 190),
    ] {
        for seen in 0..250 {
            let mut window = Window::new(length, 10);
            window.advance(at * millis, total(0));
            if seen < at {
                continue;
            }
            window.advance(seen * millis, total(1));
            let expected = u64::from(seen < forgotten);
            assert_eq!(inside(&window, total(1)), expected, "{at} at {seen}");
            // A nanosecond before the next bucket, it is still the same.
            let due = window.due();
            window.advance(due - 1, total(1));
            assert_eq!(inside(&window, total(1)), expected);
            assert_eq!(due, (seen / 10 + 1) * 10 * millis);
        }
    }
}

#[test]
fn a_window_of_one_bucket_forgets_all_at_once() {
    let mut window = Window::new(SECOND, 1);
    window.advance(999_999_999, total(5));
    assert_eq!(inside(&window, total(5)), 5);
    window.advance(1_000_000_000, total(5));
    assert_eq!(inside(&window, total(6)), 1);
}

#[test]
fn times_that_go_back_belong_to_the_running_bucket() {
    let mut window = Window::new(SECOND, 10);
    window.advance(5_000_000_000, total(1));
    window.advance(1_000_000_000, total(2));
    assert_eq!(window.due(), 5_100_000_000);
    assert_eq!(inside(&window, total(3)), 2);
}

#[test]
fn lengths_and_buckets_are_brought_into_bounds() {
    let day = Duration::from_secs(24 * 3_600);
    for (length, buckets, expected) in [
        (SECOND, 10, SECOND),
        (SECOND, 0, SECOND),
        (Duration::ZERO, 10, Duration::from_millis(10)),
        (Duration::ZERO, 0, Duration::from_millis(1)),
        (SECOND / 10, u32::MAX, Duration::from_millis(128)),
        (Duration::MAX, 10, day),
    ] {
        let window = Window::new(length, buckets);
        assert_eq!(window.length(), expected, "{length:?} in {buckets}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Count(bool),
    Pass(u64),
    Trip,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any::<bool>().prop_map(Step::Count),
        10 => (0_u64..400).prop_map(Step::Pass),
        1 => (0_u64..4_000).prop_map(Step::Pass),
        1 => Just(Step::Trip),
    ]
}

proptest! {
    /// Whoever counts: the machine, or its tally without the machine's lock.
    #[test]
    fn counts_are_those_of_a_naive_model(
        steps in prop::collection::vec((step(), any::<bool>()), 1..300),
        buckets in 1_u32..12,
    ) {
        let window = Duration::from_millis(120 * u64::from(buckets));
        let mut run = run(BreakerConfig {
            adaptive: Some(AdaptiveConfig { minimum_requests: u32::MAX, window, buckets, ..AdaptiveConfig::default() }),
            failure_ratio: Some(FailureRatioConfig { minimum_calls: u32::MAX, window: 2 * window, buckets, ..FailureRatioConfig::default() }),
            ..BreakerConfig::consecutive(0)
        });
        let start = run.now;
        let tally = run.machine.tally().unwrap().clone();
        let mut calls: Vec<(u64, bool)> = Vec::new();
        let mut elapsed = 0;
        for (step, by_tally) in steps {
            match step {
                Step::Pass(millis) => {
                    elapsed += millis;
                    run.now = start + Duration::from_millis(elapsed);
                }
                Step::Count(is_success) => {
                    calls.push((elapsed, is_success));
                    if by_tally && tally.count(run.now, is_success) == Counted::Quietly {
                        continue;
                    }
                    let outcome = if is_success { Outcome::Success } else { FAILURE };
                    run.attempt(outcome);
                }
                Step::Trip => {
                    run.machine.hold_open();
                    run.machine.reset();
                    calls.clear();
                }
            }
            run.machine.advance(run.now);
            for (counts, bucket) in [
                (run.machine.adaptive_counts().unwrap(), 120),
                (run.machine.ratio_counts().unwrap(), 240),
            ] {
                let oldest = (elapsed / bucket + 1).saturating_sub(u64::from(buckets));
                let recent = |success: bool| calls
                    .iter()
                    .filter(|(at, it)| *it == success && at / bucket >= oldest)
                    .count() as u64;
                prop_assert_eq!(counts.successes, recent(true));
                prop_assert_eq!(counts.failures, recent(false));
                prop_assert_eq!(counts.refused, 0);
            }
        }
    }
}
