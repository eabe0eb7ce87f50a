//! The failure ratio.

use super::*;

fn ratio(ratio: f64, minimum_calls: u32) -> BreakerConfig {
    BreakerConfig {
        failure_ratio: Some(FailureRatioConfig {
            ratio,
            minimum_calls,
            window: 10 * SECOND,
            buckets: 10,
        }),
        jitter: 0.0,
        ..BreakerConfig::ratio(ratio)
    }
}

#[test]
fn it_trips_at_the_ratio_and_not_before_the_minimum_of_calls() {
    for (part, minimum, succeed, fail, expected) in [
        (0.5, 20, 10, 9, Closed),
        (0.5, 20, 10, 10, Open),
        (0.5, 20, 11, 10, Closed),
        (0.5, 20, 11, 11, Open),
        (0.5, 20, 0, 19, Closed),
        (0.5, 20, 0, 20, Open),
        (0.55, 20, 9, 11, Open),
        (0.55, 20, 10, 11, Closed),
        (0.1, 10, 9, 1, Open),
        (0.3, 10, 7, 3, Open),
        (1.0, 5, 0, 5, Open),
        (1.0, 5, 1, 99, Closed),
        (0.5, 0, 0, 1, Open),
        (f64::NAN, 2, 1, 1, Open),
        (-1.0, 1, 99, 1, Open),
        (7.0, 1, 0, 1, Open),
        (7.0, 2, 1, 9, Closed),
    ] {
        let mut run = run(ratio(part, minimum));
        let state = run.attempts(succeed, fail);
        assert_eq!(state, expected, "{part} of {minimum}: {succeed}, {fail}");
    }
}

#[test]
fn a_success_never_trips_even_as_the_call_that_makes_the_minimum() {
    let mut run = run(ratio(0.5, 4));
    assert_eq!(run.attempts(0, 3), Closed);
    assert_eq!(run.attempt(Outcome::Success), Closed);
    assert_eq!(run.attempt(FAILURE), Open, "the next failure does");
    assert_eq!(run.machine.explain(), "4 of 5 calls failed within 10s");
}

#[test]
fn calls_leave_the_window_bucket_by_bucket() {
    let nano = Duration::from_nanos(1);
    // Nine failures, then a tenth after that time: are they ten within the window?
    for (after, expected) in [
        (Duration::ZERO, Open),
        (9 * SECOND, Open),
        (10 * SECOND - nano, Open),
        (10 * SECOND, Closed),
        (100 * SECOND, Closed),
    ] {
        let mut run = run(ratio(0.5, 10));
        run.attempts(0, 9);
        run.pass(after);
        assert_eq!(run.attempt(FAILURE), expected, "{after:?}");
    }
}

#[test]
fn what_says_nothing_is_no_call_and_business_errors_are_good_ones() {
    let mut run = run(ratio(0.5, 4));
    for _ in 0..10 {
        run.attempt(Outcome::Abandoned);
        run.attempt(Outcome::Failure(Code::Cancelled));
    }
    run.attempt(Outcome::Failure(Code::NotFound));
    run.attempts(0, 2);
    let counts = run.machine.ratio_counts().unwrap();
    assert_eq!((counts.successes, counts.failures), (1, 2));
    assert_eq!(run.attempt(FAILURE), Open);
}

#[test]
fn it_begins_anew_when_the_breaker_closes_and_probes_are_not_counted() {
    let mut run = run(ratio(0.5, 4));
    run.attempts(0, 4);
    run.now = run.machine.wake_at().unwrap();
    assert_eq!(run.attempt(FAILURE), Open, "the probe");
    run.now = run.machine.wake_at().unwrap();
    assert_eq!(run.attempt(Outcome::Success), Closed);
    assert_eq!(run.machine.ratio_counts(), Some(Counts::default()));
    assert_eq!(run.attempts(0, 3), Closed);
    assert_eq!(run.attempt(FAILURE), Open);
}

#[test]
fn what_was_counted_without_the_lock_is_judged() {
    let mut run = run(ratio(0.5, 4));
    let tally = run.machine.tally().unwrap().clone();
    for _ in 0..3 {
        assert_eq!(tally.count(run.now, false), Counted::Quietly);
    }
    assert_eq!(tally.count(run.now, false), Counted::Tripping);
    let generation = run.machine.generation();
    run.machine.judge(run.now, generation + 1, MIDDLE);
    assert_eq!(run.machine.state(), Closed, "of another time");
    run.machine.judge(run.now, generation, MIDDLE);
    assert_eq!(run.machine.state(), Open);
    assert_eq!(run.machine.explain(), "4 of 4 calls failed within 10s");

    // By the time it is judged, the window may have moved on.
    run.machine.reset();
    for _ in 0..4 {
        let _ = tally.count(run.now, false);
    }
    run.pass(60 * SECOND);
    run.machine.judge(run.now, run.machine.generation(), MIDDLE);
    assert_eq!(run.machine.state(), Closed);
}

#[test]
fn a_window_that_must_move_on_is_not_counted_in() {
    let mut run = run(ratio(0.5, 4));
    let tally = run.machine.tally().unwrap().clone();
    run.pass(SECOND);
    assert_eq!(tally.count(run.now, false), Counted::Not);
    assert_eq!(tally.totals(), Counts::default());
    run.machine.advance(run.now);
    assert_eq!(tally.count(run.now, false), Counted::Quietly);
}

#[test]
fn held_closed_it_counts_and_does_not_trip() {
    let mut run = run(ratio(0.5, 4));
    run.machine.hold_closed();
    assert_eq!(run.attempts(0, 50), Closed);
    run.machine.judge(run.now, run.machine.generation(), MIDDLE);
    assert_eq!(run.machine.state(), Closed);
    assert_eq!(run.machine.ratio_counts().unwrap().failures, 50);
    run.machine.reset();
    assert_eq!(run.machine.ratio_counts().unwrap().failures, 0);
    assert_eq!(run.attempts(0, 4), Open);
}
