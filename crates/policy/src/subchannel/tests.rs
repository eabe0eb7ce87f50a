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

/// A machine with this many connections.
fn serving(connections: usize, now: Instant) -> Machine {
    let mut machine = machine();
    machine.connect(now, 0.5);
    machine.connected();
    for _ in 1..connections {
        machine.another(now, 0.5);
        machine.connected();
    }
    machine
}

#[test]
fn another_connection_is_tried_for_one_at_a_time_while_the_others_serve() {
    let now = origin();
    let mut machine = serving(1, now);
    assert_eq!(machine.attempt(), Attempt::None);
    machine.connect(now, 0.5);
    assert_eq!(machine.attempt(), Attempt::None, "it is connected");
    machine.another(now, 0.5);
    let dialling = Attempt::Dial {
        until: now + 20 * SECOND,
    };
    assert_eq!((machine.attempt(), machine.step()), (dialling, Step::Serve));
    machine.another(now + SECOND, 0.5);
    assert_eq!(machine.attempt(), dialling);
    machine.connected();
    assert_eq!(
        (machine.attempt(), machine.step()),
        (Attempt::None, Step::Serve)
    );
}

#[test]
fn an_attempt_at_another_connection_has_the_backoff_of_all() {
    let now = origin();
    let mut machine = serving(1, now);
    machine.another(now, 0.5);
    machine.failed(now);
    let waiting = Attempt::Wait {
        until: now + SECOND,
    };
    assert_eq!((machine.attempt(), machine.step()), (waiting, Step::Serve));
    machine.another(now, 0.5);
    assert_eq!(machine.attempt(), waiting);
    machine.waited(now + SECOND, 0.5);
    assert_eq!(
        machine.attempt(),
        Attempt::None,
        "nobody may want it any more"
    );
    let again = now + SECOND;
    machine.another(again, 0.5);
    machine.failed(again);
    let until = again + SECOND.mul_f64(1.6);
    assert_eq!(machine.attempt(), Attempt::Wait { until }, "it has grown");
    machine.skip_backoff(again, 0.5);
    machine.another(again, 0.5);
    machine.connected();
    machine.another(again, 0.5);
    machine.failed(again);
    let until = again + SECOND;
    assert_eq!(
        machine.attempt(),
        Attempt::Wait { until },
        "reset by SETTINGS"
    );
}

#[test]
fn the_state_is_that_of_the_best() {
    let now = origin();
    for (connections, attempt, lost, state) in [
        (1, None, 1, ConnectivityState::Idle),
        (2, None, 1, ConnectivityState::Ready),
        (2, None, 2, ConnectivityState::Idle),
        (1, Some(true), 0, ConnectivityState::Ready),
        (1, Some(true), 1, ConnectivityState::Connecting),
        (1, Some(false), 0, ConnectivityState::Ready),
        (1, Some(false), 1, ConnectivityState::TransientFailure),
    ] {
        let mut machine = serving(connections, now);
        if let Some(goes_on) = attempt {
            machine.another(now, 0.5);
            if !goes_on {
                machine.failed(now);
            }
        }
        (0..lost).for_each(|_| machine.lost());
        assert_eq!(machine.state(), state, "{connections} {attempt:?} {lost}");
    }
}

#[test]
fn an_attempt_goes_on_when_the_last_connection_is_lost() {
    let now = origin();
    let mut machine = serving(1, now);
    machine.another(now, 0.5);
    machine.lost();
    let until = now + 20 * SECOND;
    assert_eq!(machine.step(), Step::Dial { until });
    machine.connected();
    assert_eq!(machine.step(), Step::Serve);
    machine.another(now, 0.5);
    machine.failed(now);
    machine.lost();
    let until = now + SECOND;
    assert_eq!(machine.step(), Step::Wait { until });
    machine.waited(until, 0.5);
    assert!(matches!(machine.step(), Step::Dial { .. }), "by itself");
}

#[test]
fn disconnecting_gives_up_all_connections_and_the_attempt() {
    let now = origin();
    let mut machine = serving(2, now);
    machine.another(now, 0.5);
    machine.disconnect();
    assert_eq!(
        (machine.attempt(), machine.step()),
        (Attempt::None, Step::Idle)
    );
}

proptest! {
    /// Whatever happens in whatever order: no attempt starts before the backoff of the last one
    /// is over, unless the backoff was reset.
    #[test]
    fn attempts_are_never_closer_than_their_backoff(events in prop::collection::vec((0u8..7, 0u64..3000), 1..200)) {
        let mut now = origin();
        let mut machine = machine();
        let mut last_attempt = None;
        for (event, advance) in events {
            now += Duration::from_millis(advance);
            let before = machine.attempt();
            match event {
                0 => machine.connect(now, 0.5),
                1 => { machine.connected(); if machine.attempt() != before { last_attempt = None; } }
                2 => machine.failed(now),
                3 => machine.lost(),
                4 => machine.waited(now, 0.5),
                5 => machine.another(now, 0.5),
                _ => machine.disconnect(),
            }
            let starts = matches!(machine.attempt(), Attempt::Dial { .. }) && machine.attempt() != before;
            if starts && let Some(last) = last_attempt.replace(now) {
                prop_assert!(now - last >= SECOND, "{:?}", now - last);
            }
        }
    }
}
