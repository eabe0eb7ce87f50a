use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "an arbitrary origin; only differences count"
)]
fn origin() -> Instant {
    Instant::now()
}

fn machine() -> Machine {
    Machine::new(BackoffConfig {
        jitter: 0.0,
        ..Default::default()
    })
}

#[test]
fn idle_until_asked_then_dials_with_the_minimum_timeout() {
    let now = origin();
    let mut machine = machine();
    assert_eq!(machine.state(), ConnectivityState::Idle);
    machine.connect(now, 0.5);
    assert_eq!(
        machine.step(),
        Step::Dial {
            until: now + 20 * SECOND
        }
    );
    assert_eq!(machine.state(), ConnectivityState::Connecting);
}

#[test]
fn the_next_attempt_starts_at_the_backoff_measured_from_the_start_of_the_last() {
    let start = origin();
    let mut machine = machine();
    machine.connect(start, 0.5);
    machine.failed(start + SECOND / 4);
    assert_eq!(
        machine.step(),
        Step::Wait {
            until: start + SECOND
        }
    );
    assert_eq!(machine.state(), ConnectivityState::TransientFailure);
    machine.waited(start + SECOND / 2, 0.5);
    assert!(
        matches!(machine.step(), Step::Wait { .. }),
        "a timer that fires early changes nothing"
    );
    machine.waited(start + SECOND, 0.5);
    machine.failed(start + 10 * SECOND);
    assert_eq!(
        machine.step(),
        Step::Wait {
            until: start + 10 * SECOND
        },
        "an attempt that outlasted its backoff is followed at once"
    );
}

#[test]
fn backoff_grows_until_settings_arrive() {
    let mut now = origin();
    let mut machine = machine();
    machine.connect(now, 0.5);
    let mut waits = Vec::new();
    for _ in 0..4 {
        machine.failed(now);
        let Step::Wait { until } = machine.step() else {
            panic!("{:?}", machine.step())
        };
        waits.push((until - now).as_millis());
        now = until;
        machine.waited(now, 0.5);
    }
    assert_eq!(waits, [1000, 1600, 2560, 4096]);
    machine.connected();
    assert_eq!(machine.state(), ConnectivityState::Ready);
    machine.lost();
    assert_eq!(
        machine.state(),
        ConnectivityState::Idle,
        "a lost connection waits for a call"
    );
    machine.connect(now, 0.5);
    machine.failed(now);
    assert_eq!(
        machine.step(),
        Step::Wait {
            until: now + SECOND
        },
        "reset by SETTINGS"
    );
}

#[test]
fn disconnecting_keeps_a_running_backoff() {
    let now = origin();
    let mut machine = machine();
    machine.connect(now, 0.5);
    machine.failed(now);
    machine.disconnect();
    assert_eq!(machine.state(), ConnectivityState::Idle);
    machine.connect(now + SECOND / 2, 0.5);
    assert_eq!(
        machine.step(),
        Step::Wait {
            until: now + SECOND
        }
    );
}

#[test]
fn skipping_the_backoff_dials_at_once() {
    let now = origin();
    let mut machine = machine();
    machine.connect(now, 0.5);
    machine.failed(now);
    machine.skip_backoff(now, 0.5);
    assert!(matches!(machine.step(), Step::Dial { .. }));
    machine.failed(now);
    assert_eq!(
        machine.step(),
        Step::Wait {
            until: now + SECOND
        }
    );
}

#[test]
fn durations_of_any_length_make_a_time_to_wait_for() {
    let now = origin();
    let extremes = [Duration::ZERO, Duration::MAX];
    for initial in extremes {
        for max in extremes {
            for min_connect_timeout in extremes {
                let config = BackoffConfig {
                    initial,
                    max,
                    min_connect_timeout,
                    ..Default::default()
                };
                let mut machine = Machine::new(config);
                machine.connect(now, 0.5);
                let Step::Dial { until: given_up } = machine.step() else {
                    panic!("{:?}: {config:?}", machine.step());
                };
                machine.failed(now);
                let Step::Wait { until: again } = machine.step() else {
                    panic!("{:?}: {config:?}", machine.step());
                };
                let far = now + 10 * 365 * 24 * 3_600 * SECOND;
                assert_eq!(again > far, initial == Duration::MAX, "{config:?}");
                let longest = initial.max(min_connect_timeout);
                assert_eq!(given_up > far, longest == Duration::MAX, "{config:?}");
                assert!(again > now, "{config:?}");
            }
        }
    }
}

proptest! {
    /// Whatever happens in whatever order: no attempt starts before the backoff of the last one
    /// is over, unless the backoff was reset.
    #[test]
    fn attempts_are_never_closer_than_their_backoff(events in prop::collection::vec((0u8..6, 0u64..3000), 1..200)) {
        let mut now = origin();
        let mut machine = machine();
        let mut last_attempt = None;
        for (event, advance) in events {
            now += Duration::from_millis(advance);
            let before = machine.step();
            match event {
                0 => machine.connect(now, 0.5),
                1 => { machine.connected(); if machine.step() == Step::Serve { last_attempt = None; } }
                2 => machine.failed(now),
                3 => machine.lost(),
                4 => machine.waited(now, 0.5),
                _ => machine.disconnect(),
            }
            let starts = matches!(machine.step(), Step::Dial { .. }) && machine.step() != before;
            if starts && let Some(last) = last_attempt.replace(now) {
                prop_assert!(now - last >= SECOND, "{:?}", now - last);
            }
        }
    }
}
