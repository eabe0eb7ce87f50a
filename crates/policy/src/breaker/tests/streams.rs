//! Probes whose response has begun and does not end.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The response begins.
    Head,
    /// It loses its place.
    Outlive,
    End(Outcome),
}

#[test]
fn a_probe_that_was_answered_is_a_success_once_it_has_lost_its_place() {
    use Step::{End, Head, Outlive};
    let (succeeds, fails) = (End(Outcome::Success), End(FAILURE));
    let dropped = End(Outcome::Abandoned);
    for (probes_to_close, steps, expected) in [
        (1, &[Outlive][..], HalfOpen),
        (1, &[Outlive, succeeds], Closed),
        // It may fail as long as it has its place.
        (1, &[Head], HalfOpen),
        (1, &[Head, fails], Open),
        (1, &[Head, dropped], HalfOpen),
        (1, &[Head, dropped, Outlive], HalfOpen),
        (1, &[Head, succeeds], Closed),
        (1, &[Head, Outlive], Closed),
        (1, &[Head, Outlive, fails], Closed),
        (1, &[Outlive, Head], Closed),
        (1, &[Outlive, fails], Open),
        // Each counts once, however it ends.
        (2, &[Head, Outlive], HalfOpen),
        (2, &[Head, Outlive, Outlive], HalfOpen),
        (2, &[Head, Outlive, succeeds], HalfOpen),
        (2, &[Head, Outlive, dropped], HalfOpen),
        (2, &[Outlive, Head, Head, succeeds], HalfOpen),
        (2, &[Head, Outlive, fails], Open),
    ] {
        for somebody_looks in [false, true] {
            let mut run = run(BreakerConfig {
                probes_to_close,
                ..config()
            });
            run.trip();
            run.pass(SECOND);
            let probe = run.admit().unwrap();
            for step in steps {
                match step {
                    Head => run.machine.answered(run.now, probe),
                    Outlive => run.pass(SECOND),
                    End(outcome) => {
                        run.settle(probe, *outcome);
                    }
                }
                if somebody_looks {
                    run.machine.advance(run.now);
                }
            }
            run.machine.advance(run.now);
            let state = run.machine.state();
            assert_eq!(state, expected, "{probes_to_close}: {steps:?}");
        }
    }
}

#[test]
fn streams_that_never_end_close_it() {
    for probes_to_close in [1, 2, 5] {
        let mut run = run(BreakerConfig {
            probes_to_close,
            ..config()
        });
        run.trip();
        run.pass(SECOND);
        for _ in 0..probes_to_close {
            let stream = run.admit().expect("the one before has lost its place");
            run.machine.answered(run.now, stream);
            assert!(run.admit().is_err(), "one at a time");
            assert_eq!(run.machine.wake_at(), Some(run.now + SECOND));
            run.pass(SECOND);
            run.machine.advance(run.now);
        }
        assert_eq!(run.machine.state(), Closed);
    }
}

#[test]
fn two_streams_side_by_side_are_two_successes() {
    let mut run = run(BreakerConfig {
        probes: 2,
        probes_to_close: 2,
        ..config()
    });
    run.trip();
    run.pass(SECOND);
    for _ in 0..2 {
        let stream = run.admit().unwrap();
        run.machine.answered(run.now, stream);
    }
    run.pass(SECOND);
    run.machine.advance(run.now);
    assert_eq!(run.machine.state(), Closed);
}

#[test]
fn an_answer_to_what_an_earlier_state_admitted_says_nothing() {
    let mut run = run(config());
    let early = run.admit().unwrap();
    run.trip();
    run.pass(SECOND);
    let probe = run.admit().unwrap();
    run.machine.answered(run.now, early);
    assert_eq!(run.settle(probe, FAILURE), Open);
    run.machine.answered(run.now, probe);
    run.pass(2 * SECOND);
    let second = run.admit().unwrap();
    run.machine.answered(run.now, probe);
    run.pass(SECOND);
    run.machine.advance(run.now);
    assert_eq!(run.machine.state(), HalfOpen);
    assert_eq!(run.settle(second, Outcome::Success), Closed);
}
