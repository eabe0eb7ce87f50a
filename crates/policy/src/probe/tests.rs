use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "an origin; only differences matter"
)]
fn start() -> Instant {
    Instant::now()
}

fn config() -> ProbeConfig {
    ProbeConfig {
        jitter: 0.0,
        ..ProbeConfig::default()
    }
}

/// Connected, at the time of its first probe.
fn probed(config: ProbeConfig) -> (Machine, Instant) {
    let (mut machine, now) = (Machine::new(config), start());
    machine.connected(now, 0.0);
    machine.waited(now);
    assert!(matches!(machine.step(), Step::Probe { .. }));
    (machine, now)
}

/// Ends the present probe, and waits for the next.
fn end(machine: &mut Machine, now: &mut Instant, success: bool) -> Option<Change> {
    let change = machine.ended(*now, success, 0.5);
    let Step::Wait { until } = machine.step() else {
        panic!("{machine:?}");
    };
    *now = until;
    machine.waited(*now);
    change
}

#[test]
fn failures_in_a_row_take_it_out_and_successes_in_a_row_bring_it_back() {
    use Change::{In, Out};
    for (failures, successes, results) in [
        (
            3,
            1,
            &[
                (false, None),
                (false, None),
                (true, None),
                (false, None),
                (false, None),
                (false, Some(Out)),
                (false, None),
                (true, Some(In)),
                (true, None),
                (false, None),
            ][..],
        ),
        (
            1,
            3,
            &[
                (true, None),
                (false, Some(Out)),
                (true, None),
                (true, None),
                (false, None),
                (true, None),
                (true, None),
                (true, Some(In)),
                (false, Some(Out)),
            ],
        ),
        // As 1 and 1.
        (0, 0, &[(false, Some(Out)), (true, Some(In))]),
    ] {
        let (mut machine, mut now) = probed(ProbeConfig {
            failures,
            successes,
            ..config()
        });
        for (place, (success, expected)) in results.iter().enumerate() {
            let change = end(&mut machine, &mut now, *success);
            assert_eq!(change, *expected, "{failures} {successes}: {place}");
        }
    }
}

#[test]
fn an_endpoint_is_in_before_its_first_probe() {
    assert!(!Machine::new(config()).is_out());
}

#[test]
fn the_first_probe_comes_within_an_interval_and_at_once_when_it_is_out() {
    let now = start();
    for (random, seconds) in [(0.0, 0), (0.5, 5), (1.0, 10)] {
        let mut machine = Machine::new(config());
        assert_eq!(machine.step(), Step::Rest);
        machine.connected(now, random);
        let until = now + seconds * SECOND;
        assert_eq!(machine.step(), Step::Wait { until });
        machine.connected(now, 0.9);
        assert_eq!(machine.step(), Step::Wait { until }, "said once");
    }
    let (mut machine, mut now) = probed(ProbeConfig {
        failures: 1,
        ..config()
    });
    end(&mut machine, &mut now, false);
    machine.disconnected();
    machine.connected(now, 0.9);
    assert_eq!(machine.step(), Step::Wait { until: now });
    assert!(machine.is_out(), "a new connection is no reason");
}

#[test]
fn a_probe_starts_an_interval_after_the_last_one_started() {
    let (mut machine, now) = probed(config());
    let until = now + SECOND;
    assert_eq!(machine.step(), Step::Probe { until }, "it may take 1 s");
    machine.waited(until);
    assert_eq!(machine.step(), Step::Probe { until }, "it runs already");
    machine.ended(now + SECOND / 2, true, 0.5);
    let until = now + 10 * SECOND;
    assert_eq!(machine.step(), Step::Wait { until });
    machine.waited(until - Duration::from_nanos(1));
    assert_eq!(machine.step(), Step::Wait { until }, "not before its time");

    let slow = ProbeConfig {
        interval: SECOND,
        timeout: 5 * SECOND,
        ..config()
    };
    let (mut machine, now) = probed(slow);
    let late = now + 3 * SECOND;
    machine.ended(late, false, 0.5);
    assert_eq!(machine.step(), Step::Wait { until: late }, "never two");
}

#[test]
fn a_lost_connection_ends_the_probe_and_forgets_its_failures() {
    let (mut machine, mut now) = probed(config());
    end(&mut machine, &mut now, false);
    end(&mut machine, &mut now, false);
    assert_eq!(machine.failures(), 2);
    machine.disconnected();
    assert_eq!(machine.step(), Step::Rest);
    assert_eq!(machine.failures(), 0);
    assert_eq!(machine.ended(now, false, 0.5), None, "too late");
    assert_eq!(machine.step(), Step::Rest);
}

proptest! {
    #[test]
    fn it_never_panics_and_keeps_within_its_interval_and_jitter(
        interval in any::<u64>(),
        jitter in any::<f64>(),
        timeout in any::<u64>(),
        randoms in proptest::collection::vec((0.0..1.0_f64, any::<bool>()), 1..20),
    ) {
        let config = ProbeConfig {
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            jitter,
            ..ProbeConfig::default()
        };
        let (mut machine, mut now) = probed(config);
        for (random, success) in randoms {
            machine.ended(now, success, random);
            let Step::Wait { until } = machine.step() else { panic!("{machine:?}") };
            let waited = until.saturating_duration_since(now);
            prop_assert!(waited <= config.interval().mul_f64(2.0));
            now = until;
            machine.waited(now);
        }
    }
}
