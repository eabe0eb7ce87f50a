use std::time::Duration;

use super::*;

/// What happens to one stream: whether a message comes, how it ends, and how long the next one is
/// waited for; `None` when there is no next one.
type Stream = (bool, Code, Option<f64>);

#[expect(
    clippy::disallowed_methods,
    reason = "an origin; only differences matter"
)]
fn start() -> Instant {
    Instant::now()
}

fn machine() -> Machine {
    Machine::new(BackoffConfig {
        jitter: 0.0,
        ..BackoffConfig::default()
    })
}

fn run(streams: &[Stream]) {
    let (mut machine, mut now) = (machine(), start());
    for (received, code, delay) in streams {
        assert_eq!(machine.step(), Step::Call, "{streams:?}");
        now += Duration::from_secs(3);
        if *received {
            machine.received();
        }
        machine.ended(now, *code, 0.5);
        let expected = match delay {
            None => Step::GiveUp,
            Some(0.0) => Step::Call,
            Some(delay) => Step::Wait {
                until: now + Duration::from_secs_f64(*delay),
            },
        };
        assert_eq!(machine.step(), expected, "{streams:?}");
        if let Step::Wait { until } = machine.step() {
            machine.waited(until - Duration::from_nanos(1));
            assert_eq!(machine.step(), expected, "not before its time");
            now = until;
            machine.waited(now);
        }
    }
}

#[test]
fn a_stream_is_opened_again_at_once_after_a_message_and_with_backoff_without_one() {
    let failed = Code::Unavailable;
    run(&[(true, failed, Some(0.0)), (true, Code::Ok, Some(0.0))]);
    run(&[
        (false, failed, Some(1.0)),
        (false, Code::Ok, Some(1.6)),
        (false, Code::Internal, Some(2.56)),
        (true, failed, Some(0.0)),
        (false, failed, Some(1.0)),
    ]);
}

#[test]
fn the_message_of_one_stream_says_nothing_about_the_next() {
    let failed = Code::Unavailable;
    run(&[(true, failed, Some(0.0)), (false, failed, Some(1.0))]);
}

#[test]
fn a_server_that_does_not_know_the_method_is_not_asked_again() {
    run(&[(false, Code::Unimplemented, None)]);
    run(&[
        (true, Code::Ok, Some(0.0)),
        (true, Code::Unimplemented, None),
    ]);
    let (mut machine, now) = (machine(), start());
    machine.ended(now, Code::Unimplemented, 0.5);
    machine.waited(now);
    machine.received();
    machine.ended(now, Code::Unavailable, 0.5);
    assert_eq!(machine.step(), Step::GiveUp);
}

#[test]
fn backoff_ends_at_two_minutes_and_is_jittered() {
    let (mut machine, now) = (Machine::new(BackoffConfig::default()), start());
    let mut delays = Vec::new();
    for _ in 0..20 {
        machine.ended(now, Code::Unavailable, 1.0);
        let Step::Wait { until } = machine.step() else {
            panic!("no message came")
        };
        delays.push((until - now).as_secs_f64());
        machine.waited(until);
    }
    assert!((delays[0] - 1.2).abs() < 1e-6, "{delays:?}");
    assert!((delays[19] - 144.0).abs() < 1e-6, "{delays:?}");
}
