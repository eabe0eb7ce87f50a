use std::time::{Duration, Instant};

use evenkeel_core::{BreakerState, Outcome};
use proptest::prelude::*;
use tonic::Code;

use super::*;
use BreakerState::{Closed, HalfOpen, Open};

mod adaptive;
mod combined;
mod ratio;
mod streams;
mod window;

const MIDDLE: u64 = 1 << 63;
const SECOND: Duration = Duration::from_secs(1);
const FAILURE: Outcome = Outcome::Failure(Code::Unavailable);

fn config() -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: 3,
        open_time: SECOND,
        max_open_time: 3 * SECOND,
        jitter: 0.0,
        ..Default::default()
    }
}

/// A machine and its clock.
struct Run {
    machine: Machine,
    now: Instant,
}

#[expect(clippy::disallowed_methods, reason = "an Instant has no constant")]
fn run(config: BreakerConfig) -> Run {
    let now = Instant::now();
    Run {
        machine: Machine::new(config, now),
        now,
    }
}

impl Run {
    fn admit(&mut self) -> Result<Admission, Duration> {
        let admitted = self.machine.admit(self.now, MIDDLE);
        admitted.map_err(|refused| refused.retry_in)
    }

    fn settle(&mut self, admission: Admission, outcome: Outcome) -> BreakerState {
        let verdict = self.machine.config().verdict(outcome);
        self.machine.settle(self.now, admission, verdict, MIDDLE);
        self.machine.state()
    }

    fn attempt(&mut self, outcome: Outcome) -> BreakerState {
        let admission = self.admit().expect("admitted");
        self.settle(admission, outcome)
    }

    /// As many attempts that succeed, and as many that fail.
    fn attempts(&mut self, succeed: u32, fail: u32) -> BreakerState {
        for _ in 0..succeed {
            self.attempt(Outcome::Success);
        }
        for _ in 0..fail {
            self.attempt(FAILURE);
        }
        self.machine.state()
    }

    fn trip(&mut self) {
        for _ in 0..3 {
            self.attempt(FAILURE);
        }
        assert_eq!(self.machine.state(), Open);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn consecutive_failures_trip_and_a_success_starts_the_count_again() {
    let mut run = run(config());
    run.attempt(FAILURE);
    run.attempt(FAILURE);
    assert!(!run.machine.ignores_successes());
    run.attempt(Outcome::Success);
    assert!(run.machine.ignores_successes());
    run.attempt(FAILURE);
    assert_eq!(run.attempt(FAILURE), Closed);
    assert_eq!(run.attempt(FAILURE), Open);
    assert_eq!(run.machine.explain(), "3 consecutive failures");
    assert_eq!(run.admit(), Err(SECOND));
}

#[test]
fn each_code_counts_as_the_table_says() {
    let failures = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
        Code::ResourceExhausted,
    ];
    let config = BreakerConfig::default();
    for code in (1..17).map(Code::from_i32) {
        let expected = match code {
            Code::Cancelled => Verdict::Nothing,
            code if failures.contains(&code) => Verdict::Failure,
            _ => Verdict::Success,
        };
        assert_eq!(config.verdict(Outcome::Failure(code)), expected, "{code:?}");
    }
    assert_eq!(config.verdict(Outcome::Success), Verdict::Success);
    assert_eq!(config.verdict(Outcome::Abandoned), Verdict::Nothing);
}

#[test]
fn business_errors_never_trip_and_abandoned_attempts_say_nothing() {
    let mut run = run(config());
    run.attempt(FAILURE);
    run.attempt(FAILURE);
    run.attempt(Outcome::Abandoned);
    run.attempt(Outcome::Failure(Code::Cancelled));
    assert!(!run.machine.ignores_successes(), "the count stands");
    run.attempt(Outcome::Failure(Code::NotFound));
    assert!(run.machine.ignores_successes(), "an answer is a success");
}

#[test]
fn an_open_time_of_any_length_is_a_time_to_wait_for() {
    let extremes = [Duration::ZERO, Duration::MAX];
    for open_time in extremes {
        for max_open_time in extremes {
            for jitter in [0.0, 1.0] {
                let mut run = run(BreakerConfig {
                    open_time,
                    max_open_time,
                    jitter,
                    ..config()
                });
                run.trip();
                let Some(until) = run.machine.wake_at() else {
                    panic!("open for ever: {:?}", run.machine.config());
                };
                let far = 10 * 365 * 24 * 3_600 * SECOND;
                let is_long = until - run.now > far;
                assert_eq!(is_long, open_time == Duration::MAX);

                run.now = until;
                let probe = run.admit().expect("half-open");
                let expires = run.machine.wake_at().expect("the probe expires");
                assert_eq!(expires - run.now > far, open_time == Duration::MAX);
                assert_eq!(run.settle(probe, FAILURE), Open);
                assert!(run.machine.wake_at().is_some());
            }
        }
    }
}

#[test]
fn after_the_open_time_one_probe_decides() {
    let mut run = run(config());
    run.trip();
    run.pass(SECOND - Duration::from_nanos(1));
    assert_eq!(run.admit(), Err(Duration::from_nanos(1)));
    run.pass(Duration::from_nanos(1));
    let probe = run.admit().unwrap();
    assert!(probe.is_probe());
    assert_eq!(
        (run.machine.state(), run.machine.admits()),
        (HalfOpen, false)
    );
    assert_eq!(run.admit(), Err(Duration::ZERO), "one at a time");
    assert_eq!(run.settle(probe, Outcome::Success), Closed);
}

#[test]
fn the_open_time_doubles_with_each_failed_probe_up_to_its_bound_and_starts_again() {
    let mut run = run(config());
    run.trip();
    for open_time in [1, 2, 3, 3] {
        assert_eq!(run.admit(), Err(open_time * SECOND));
        run.pass(open_time * SECOND);
        assert_eq!(run.attempt(FAILURE), Open);
    }
    run.pass(3 * SECOND);
    assert_eq!(run.attempt(Outcome::Success), Closed);
    run.trip();
    assert_eq!(run.admit(), Err(SECOND));
}

#[test]
fn an_abandoned_probe_gives_its_place_back() {
    let mut run = run(config());
    run.trip();
    run.pass(SECOND);
    for _ in 0..10 {
        assert_eq!(run.attempt(Outcome::Abandoned), HalfOpen);
    }
    assert_eq!(run.attempt(Outcome::Success), Closed);
}

#[test]
fn a_probe_that_does_not_end_lets_another_one_start() {
    let mut run = run(config());
    run.trip();
    run.pass(SECOND);
    let endless = run.admit().unwrap();
    assert_eq!(run.machine.wake_at(), Some(run.now + SECOND));
    run.pass(SECOND);
    let second = run.admit().unwrap();
    assert!(run.admit().is_err());
    assert_eq!(run.settle(endless, Outcome::Abandoned), HalfOpen);
    assert!(run.admit().is_err(), "the place is the second one's");
    assert_eq!(run.settle(second, Outcome::Success), Closed);
}

#[test]
fn several_probes_when_configured() {
    let mut run = run(BreakerConfig {
        probes: 2,
        probes_to_close: 3,
        ..config()
    });
    run.trip();
    run.pass(SECOND);
    let first = run.admit().unwrap();
    let second = run.admit().unwrap();
    assert!(run.admit().is_err());
    assert_eq!(run.settle(first, Outcome::Success), HalfOpen);
    assert_eq!(run.settle(second, Outcome::Success), HalfOpen);
    assert_eq!(run.attempt(Outcome::Success), Closed);
}

#[test]
fn what_was_admitted_before_a_change_of_state_no_longer_counts() {
    let mut run = run(config());
    let early = [run.admit().unwrap(), run.admit().unwrap()];
    run.trip();
    assert_eq!(run.settle(early[0], Outcome::Success), Open);
    run.pass(SECOND);
    let probe = run.admit().unwrap();
    assert_eq!(run.settle(early[1], FAILURE), HalfOpen);
    assert_eq!(run.settle(probe, Outcome::Success), Closed);
    assert!(run.machine.ignores_successes());
}

#[test]
fn a_breaker_without_a_rule_never_trips() {
    for config in [BreakerConfig::consecutive(0), BreakerConfig::disabled()] {
        let mut run = run(config);
        assert_eq!(run.attempts(0, 100), Closed);
        assert!(run.machine.ignores_successes() && run.machine.admits_all());
    }
}

#[test]
fn it_says_why_it_has_tripped_and_why_a_probe_kept_it_open() {
    let mut run = run(BreakerConfig::consecutive(1));
    assert_eq!(run.machine.explain(), "");
    for expected in ["1 failure", "the probe failed", "2 probes in a row failed"] {
        run.attempt(FAILURE);
        assert_eq!(run.machine.explain(), expected);
        run.now = run.machine.wake_at().expect("it will probe");
    }
    run.attempt(Outcome::Success);
    run.attempt(FAILURE);
    assert_eq!(run.machine.explain(), "1 failure");
}

#[test]
fn held_open_never_probes_and_held_closed_never_trips() {
    let mut run = run(config());
    run.machine.hold_open();
    run.pass(1000 * SECOND);
    assert_eq!(run.admit(), Err(Duration::ZERO));
    assert_eq!(run.machine.wake_at(), None);
    run.machine.hold_closed();
    for _ in 0..10 {
        assert_eq!(run.attempt(FAILURE), Closed);
    }
    run.machine.reset();
    run.trip();
}

#[test]
fn the_jitter_spreads_the_open_time() {
    let config = BreakerConfig {
        jitter: 0.2,
        ..config()
    };
    assert_eq!(config.open_time(0, 0), Duration::from_millis(800));
    assert_eq!(config.open_time(0, MIDDLE), SECOND);
    assert!(config.open_time(0, u64::MAX) > Duration::from_millis(1_199));
}

#[test]
fn zeros_are_brought_into_bounds() {
    let mut run = run(BreakerConfig {
        consecutive_failures: 1,
        open_time: Duration::ZERO,
        max_open_time: Duration::ZERO,
        jitter: f64::NAN,
        probes: 0,
        probes_to_close: 0,
        ..config()
    });
    assert_eq!(run.attempt(FAILURE), Open);
    assert_eq!(run.admit(), Err(Duration::from_millis(1)));
    run.pass(Duration::from_millis(1));
    assert_eq!(run.attempt(Outcome::Success), Closed);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Admit,
    Answered(usize),
    Settle(usize, Outcome),
    Pass(u64),
    Hold(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        1 => Just(Outcome::Success),
        3 => Just(FAILURE),
        1 => Just(Outcome::Failure(Code::NotFound)),
        1 => Just(Outcome::Abandoned),
    ];
    prop_oneof![
        6 => Just(Event::Admit),
        2 => any::<usize>().prop_map(Event::Answered),
        6 => (any::<usize>(), outcome).prop_map(|(index, outcome)| Event::Settle(index, outcome)),
        2 => (0_u64..1_500).prop_map(Event::Pass),
        1 => (0_u8..12).prop_map(Event::Hold),
    ]
}

proptest! {
    #[test]
    fn probes_are_bounded_places_come_back_and_it_always_recovers(
        events in prop::collection::vec(event(), 0..200),
        probes in 1_u32..4,
        random in any::<u64>(),
    ) {
        let mut run = run(BreakerConfig { probes, jitter: 0.2, ..config() });
        let mut running: Vec<(Admission, Instant)> = Vec::new();
        for event in events {
            match event {
                Event::Admit => if let Ok(admission) = run.admit() {
                    prop_assert!(run.machine.state() != Open);
                    running.push((admission, run.now));
                },
                Event::Answered(index) if !running.is_empty() => {
                    let (admission, _) = running[index % running.len()];
                    run.machine.answered(run.now, admission);
                }
                Event::Settle(index, outcome) if !running.is_empty() => {
                    let (admission, _) = running.swap_remove(index % running.len());
                    let verdict = run.machine.config().verdict(outcome);
                    run.machine.settle(run.now, admission, verdict, random);
                }
                Event::Answered(_) | Event::Settle(..) => {}
                Event::Pass(millis) => run.pass(Duration::from_millis(millis)),
                Event::Hold(0) => run.machine.hold_open(),
                Event::Hold(1) => run.machine.hold_closed(),
                Event::Hold(2) => run.machine.reset(),
                Event::Hold(_) => {}
            }
            let fresh = running.iter().filter(|(admission, since)| {
                admission.is_probe()
                    && admission.generation() == run.machine.generation()
                    && run.now - *since < SECOND
            });
            prop_assert!(fresh.count() <= probes as usize);
        }
        for (admission, _) in running.drain(..) {
            run.machine.settle(run.now, admission, Verdict::Nothing, random);
        }
        if run.machine.wake_at().is_none() && run.machine.state() == Open {
            run.machine.reset();
        }
        run.pass(4 * SECOND);
        prop_assert!(run.admit().is_ok(), "no place is lost");
    }
}
