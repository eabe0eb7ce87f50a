//! Adaptive throttling.

use super::*;

fn counts(successes: u64, failures: u64, refused: u64) -> Counts {
    Counts {
        successes,
        failures,
        refused,
    }
}

fn adaptive() -> AdaptiveConfig {
    AdaptiveConfig::default()
}

#[test]
fn the_share_is_that_of_the_sre_book() {
    let at_once = AdaptiveConfig {
        minimum_requests: 1,
        ..adaptive()
    };
    let aegis = AdaptiveConfig::AEGIS;
    for (config, counts, expected) in [
        // K = 2: nothing is refused while half of the requests are answered.
        (at_once, counts(0, 0, 0), 0.0),
        (at_once, counts(0, 1, 0), 1.0 / 2.0),
        (at_once, counts(50, 50, 0), 0.0),
        (at_once, counts(49, 50, 0), 1.0 / 100.0),
        (at_once, counts(0, 99, 0), 99.0 / 100.0),
        (at_once, counts(10, 20, 69), 79.0 / 100.0),
        // Below the minimum of requests, of which the refused ones are some.
        (adaptive(), counts(0, 19, 0), 0.0),
        (adaptive(), counts(0, 10, 10), 20.0 / 21.0),
        // aegis: K = 5/3.
        (aegis, counts(0, 99, 0), 0.0),
        (aegis, counts(0, 100, 0), 100.0 / 101.0),
        (aegis, counts(60, 40, 0), 0.0),
        (aegis, counts(59, 41, 0), (100.0 - 59.0 / 0.6) / 101.0),
        (aegis, counts(30, 70, 100), 150.0 / 201.0),
    ] {
        let share = config.share(counts);
        assert!((share - expected).abs() < 1e-12, "{share}: {counts:?}");
    }
}

#[test]
fn aegis_has_the_numbers_of_kratos() {
    let config = BreakerConfig::aegis();
    let aegis = config.adaptive.unwrap();
    assert_eq!(aegis, AdaptiveConfig::AEGIS);
    assert_eq!((aegis.success, aegis.minimum_requests), (0.6, 100));
    assert_eq!((aegis.window, aegis.buckets), (3 * SECOND, 10));
    assert_eq!(config.consecutive_failures, 0, "and never opens");
}

#[test]
fn values_out_of_bounds_are_brought_into_them() {
    for (success, as_if) in [(0.0, 0.01), (-1.0, 0.01), (7.0, 1.0), (f64::NAN, 0.5)] {
        let config = AdaptiveConfig {
            success,
            minimum_requests: 0,
            ..adaptive()
        };
        let expected = AdaptiveConfig {
            success: as_if,
            ..config
        };
        for counts in [counts(0, 0, 0), counts(1, 60, 3), counts(90, 10, 0)] {
            let (share, expected) = (config.share(counts), expected.share(counts));
            assert!((share - expected).abs() < 1e-12, "{success}, {counts:?}");
        }
    }
}

#[test]
fn it_sheds_by_dice_counts_its_refusals_and_stays_closed() {
    let mut run = run(BreakerConfig {
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 3,
            ..adaptive()
        }),
        ..BreakerConfig::adaptive()
    });
    run.attempts(0, 3);
    assert!((run.machine.share() - 0.75).abs() < 1e-12);
    let below = ((u64::MAX >> 11) as f64 * 0.75) as u64;
    let refused = run.machine.admit(run.now, (below - 1) << 11).unwrap_err();
    assert_eq!(refused.shed, Some(0.75));
    assert_eq!(run.machine.adaptive_counts(), Some(counts(0, 3, 1)));
    assert!(
        (run.machine.share() - 0.8).abs() < 1e-12,
        "one more request"
    );
    assert!(run.machine.admit(run.now, u64::MAX).is_ok());
    assert_eq!(run.machine.adaptive_counts(), Some(counts(0, 3, 1)));
    assert_eq!(run.machine.state(), Closed);
    assert!(run.machine.admits(), "it stays in the pick set");
    assert!(!run.machine.admits_all());
    assert_eq!(run.machine.wake_at(), None);
}

#[test]
fn it_forgets_with_its_window_even_when_nobody_calls() {
    let mut run = run(BreakerConfig::adaptive());
    run.attempts(0, 5);
    for _ in 0..15 {
        let admission = Admission::closed(run.machine.generation());
        run.settle(admission, FAILURE);
    }
    assert!(run.machine.admit(run.now, 0).is_err());
    run.pass(10 * SECOND);
    assert!(run.machine.admit(run.now, 0).is_ok());
    assert_eq!(run.machine.adaptive_counts(), Some(Counts::default()));
}

#[test]
fn held_closed_and_as_a_last_resort_it_refuses_nothing() {
    let shedding = |last_resort| {
        let mut run = run(BreakerConfig {
            last_resort,
            ..BreakerConfig::adaptive()
        });
        for _ in 0..100 {
            let admission = Admission::closed(run.machine.generation());
            run.settle(admission, FAILURE);
        }
        assert!(run.machine.admit(run.now, 0).is_err());
        run
    };
    let mut run = shedding(false);
    assert!(run.machine.admit_as_last_resort(run.now, 0).is_err());
    run.machine.hold_closed();
    for _ in 0..100 {
        run.attempt(FAILURE);
    }
    assert!(run.machine.admits_all());
    assert!(run.machine.admit(run.now, 0).is_ok());
    assert_eq!(run.machine.share(), 0.0);

    let mut run = shedding(true);
    let before = run.machine.adaptive_counts();
    let passed = run.machine.admit_as_last_resort(run.now, 0).unwrap();
    assert!(!passed.is_unrecorded(), "it counts");
    assert_eq!(run.machine.adaptive_counts(), before);
}

/// Calls at a server that answers this part of what it gets: what part reaches it, and how many
/// calls per answer.
fn settled(config: AdaptiveConfig, answered: f64) -> (f64, f64) {
    let mut run = run(BreakerConfig {
        adaptive: Some(config),
        ..BreakerConfig::adaptive()
    });
    let (mut sent, mut accepted) = (0.0, 0.0);
    let calls = 40_000;
    let mut random = 7_u64;
    let mut dice = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random
    };
    for _ in 0..calls {
        run.pass(SECOND / 1_000);
        if let Ok(admission) = run.machine.admit(run.now, dice()) {
            let works = (dice() >> 11) as f64 / (1_u64 << 53) as f64;
            let outcome = if works < answered {
                Outcome::Success
            } else {
                FAILURE
            };
            sent += 1.0;
            accepted += f64::from(u8::from(works < answered));
            run.settle(admission, outcome);
        }
    }
    (sent / f64::from(calls), sent / accepted)
}

/// How long after an outage a server that answers all is sent all calls again.
fn recovery(config: AdaptiveConfig, calls_per_second: u32, mut random: u64) -> Duration {
    let mut run = run(BreakerConfig {
        adaptive: Some(config),
        ..BreakerConfig::adaptive()
    });
    let mut call = |run: &mut Run, outcome: Outcome| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        run.pass(SECOND / calls_per_second);
        if let Ok(admission) = run.machine.admit(run.now, random) {
            run.settle(admission, outcome);
        }
    };
    // Longer than any window: it knows of nothing else.
    for _ in 0..20 * calls_per_second {
        call(&mut run, FAILURE);
    }
    let since = run.now;
    while run.machine.share() > 0.0 {
        call(&mut run, Outcome::Success);
    }
    run.now - since
}

/// docs/breakers.md has these numbers.
#[test]
fn after_an_outage_recovery_takes_the_longer_the_more_calls_there_are() {
    for (config, calls_per_second, seconds) in [
        (adaptive(), 10, 20..=50),
        (adaptive(), 1_000, 40..=75),
        (AdaptiveConfig::AEGIS, 1_000, 12..=30),
    ] {
        // When the first call passes is luck.
        let mut all = [1, 2, 3, 4, 5, 6, 7].map(|seed| recovery(config, calls_per_second, seed));
        all.sort_unstable();
        let median = all[3].as_secs();
        assert!(seconds.contains(&median), "{calls_per_second}/s: {all:?}");
    }
}

#[test]
fn what_is_sent_follows_what_is_answered() {
    for (answered, sent) in [(1.0, 0.99..=1.0), (0.6, 0.95..=1.0), (0.0, 0.0..=0.02)] {
        let (share, _) = settled(adaptive(), answered);
        assert!(sent.contains(&share), "{answered}: {share}");
    }
    let (half, _) = settled(AdaptiveConfig::AEGIS, 0.5);
    assert!(half < 0.5, "aegis refuses more than fails: {half}");
}

proptest! {
    #[test]
    fn the_share_is_within_its_bounds_and_grows_with_what_is_not_answered(
        successes in 0_u64..10_000,
        failures in 0_u64..10_000,
        refused in 0_u64..10_000,
        success in -1.0..2.0_f64,
        minimum_requests in 0_u32..200,
    ) {
        let config = AdaptiveConfig { success, minimum_requests, ..adaptive() };
        let share = config.share(counts(successes, failures, refused));
        prop_assert!((0.0..1.0).contains(&share), "{}", share);
        let worse = config.share(counts(successes, failures + 1, refused));
        prop_assert!(worse >= share);
        let refusing = config.share(counts(successes, failures, refused + 1));
        prop_assert!((worse - refusing).abs() < 1e-12, "refusals are requests");
        if successes > 0 {
            let better = config.share(counts(successes + 1, failures, refused));
            prop_assert!(better <= share);
        }
    }
}
