//! Several rules at once.

use super::*;

fn all() -> BreakerConfig {
    BreakerConfig {
        failure_ratio: Some(FailureRatioConfig {
            minimum_calls: 10,
            ..FailureRatioConfig::default()
        }),
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 4,
            ..AdaptiveConfig::default()
        }),
        ..config()
    }
}

#[test]
fn the_first_rule_that_wants_to_opens_it() {
    let settle = |run: &mut Run, outcome| {
        let admission = Admission::closed(run.machine.generation());
        run.settle(admission, outcome)
    };
    let mut run = run(all());
    for _ in 0..2 {
        settle(&mut run, FAILURE);
    }
    assert_eq!(settle(&mut run, FAILURE), Open);
    assert_eq!(run.machine.explain(), "3 consecutive failures");

    run.machine.reset();
    for _ in 0..4 {
        settle(&mut run, Outcome::Success);
        settle(&mut run, FAILURE);
    }
    settle(&mut run, Outcome::Success);
    assert_eq!(settle(&mut run, FAILURE), Open);
    assert_eq!(run.machine.explain(), "5 of 10 calls failed within 10s");
}

#[test]
fn it_sheds_before_it_opens_and_neither_open_nor_half_open() {
    let mut run = run(BreakerConfig {
        consecutive_failures: 0,
        ..all()
    });
    for _ in 0..5 {
        let admission = Admission::closed(run.machine.generation());
        run.settle(admission, FAILURE);
    }
    assert_eq!(run.machine.state(), Closed);
    assert!(run.machine.admit(run.now, 0).unwrap_err().shed.is_some());
    for _ in 0..5 {
        let admission = Admission::closed(run.machine.generation());
        run.settle(admission, FAILURE);
    }
    assert_eq!(run.machine.state(), Open, "a refusal is no call");
    let open = run.machine.admit(run.now, 0).unwrap_err();
    assert_eq!((open.shed, run.machine.share()), (None, 0.0));
    run.now = run.machine.wake_at().unwrap();
    let probe = run.machine.admit(run.now, 0).expect("probes are not shed");
    assert!(probe.is_probe());
    assert_eq!(run.settle(probe, Outcome::Success), Closed);
    assert!(run.machine.admit(run.now, 0).is_ok(), "it begins anew");
}

#[test]
fn a_count_of_failures_that_no_rule_asks_for_keeps_nobody_busy() {
    let mut run = run(BreakerConfig::ratio(0.5));
    run.attempts(0, 5);
    assert_eq!(run.machine.consecutive_failures(), 0);
    assert!(run.machine.ignores_successes());
}

proptest! {
    #[test]
    fn whatever_the_rules_probes_are_bounded_and_places_come_back(
        events in prop::collection::vec(event(), 0..200),
        probes in 1_u32..4,
        consecutive_failures in 0_u32..4,
        random in any::<u64>(),
    ) {
        let mut run = run(BreakerConfig { probes, consecutive_failures, ..all() });
        let mut running: Vec<(Admission, Instant)> = Vec::new();
        for event in events {
            match event {
                Event::Admit => match run.machine.admit(run.now, random) {
                    Ok(admission) => {
                        prop_assert!(run.machine.state() != Open);
                        running.push((admission, run.now));
                    }
                    Err(refused) if run.machine.state() == Closed => {
                        prop_assert!(refused.shed.is_some_and(|it| it > 0.0 && it < 1.0));
                        prop_assert!(run.machine.admits());
                    }
                    Err(refused) => prop_assert_eq!(refused.shed, None),
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
        if run.machine.is_held() {
            run.machine.reset();
        }
        run.pass(11 * SECOND);
        prop_assert!(run.machine.admit(run.now, random).is_ok(), "no place is lost");
    }
}
