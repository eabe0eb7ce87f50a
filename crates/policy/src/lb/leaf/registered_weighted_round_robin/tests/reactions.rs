use evenkeel_core::Outcome;
use tonic::Code;

use super::*;

const EXHAUSTED: Outcome = Outcome::Failure(Code::ResourceExhausted);
const UNAVAILABLE: Outcome = Outcome::Failure(Code::Unavailable);

fn shares(script: &Script, policy: &mut dyn Policy, picks: usize) -> Vec<usize> {
    let picker = script.update(policy).picker;
    counts(&script.picks(&*picker, picks), script.endpoints.len())
}

#[test]
fn an_exhausted_endpoint_gets_half_and_wins_it_back() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    let update = script.update(&mut policy);
    let heard: Vec<_> = update.observe.failures.iter().collect();
    assert_eq!(heard, [Code::ResourceExhausted, Code::Unavailable]);
    assert!(update.wake_at.is_none());
    script.end(2, 100, EXHAUSTED);
    assert_eq!(shares(&script, &mut policy, 90), [20, 40, 30]);
    for weight in [33, 36, 39, 42, 45, 48, 51, 54, 57, 60] {
        let wake_at = script.update(&mut policy).wake_at.unwrap();
        script.advance(wake_at - script.now());
        assert_eq!(shares(&script, &mut policy, 60 + weight), [20, 40, weight]);
    }
    assert_eq!(script.update(&mut policy).wake_at, None);
}

#[test]
fn an_unavailable_endpoint_is_out_and_comes_back_by_a_probe() {
    let mut script = weighted(&[10.0, 20.0, 30.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(1, 2, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 400), [100, 0, 300]);
    let update = script.update(&mut policy);
    assert_eq!(update.wake_at, Some(script.now() + Duration::from_secs(1)));
    let (place, reason) = &update.ejected[0];
    assert_eq!((place.0, update.ejected.len()), (1, 1));
    assert_eq!(
        reason.to_string(),
        "no calls for 1s: too many ended with UNAVAILABLE"
    );
    for random in 0..30 {
        assert_eq!(
            script.pick(&*update.picker, &[0, 2], random),
            1,
            "a retry that has tried all others"
        );
        assert_ne!(script.pick(&*update.picker, &[0], random), 0);
    }
    script.advance(Duration::from_secs(1));
    // 10, 20/16 and 30.
    assert_eq!(shares(&script, &mut policy, 165), [40, 5, 120]);
    script.end(1, 1, Outcome::Success);
    script.advance(STEP);
    assert_eq!(shares(&script, &mut policy, 165), [40, 5, 120]);
    script.advance(10 * STEP);
    script.update(&mut policy);
    script.advance(10 * STEP);
    assert_eq!(shares(&script, &mut policy, 60), [10, 20, 30]);
}

#[test]
fn when_all_fail_all_have_their_registered_weights() {
    for outcome in [EXHAUSTED, UNAVAILABLE] {
        let mut script = weighted(&[10.0, 20.0, 30.0]);
        let mut policy = RegisteredWeightedRoundRobin::default();
        script.update(&mut policy);
        for _ in 0..6 {
            for id in 0..3 {
                script.end(id, 3, outcome);
            }
            script.update(&mut policy);
            script.advance(Duration::from_millis(100));
        }
        assert_eq!(
            shares(&script, &mut policy, 60),
            [10, 20, 30],
            "{outcome:?}"
        );
        let update = script.update(&mut policy);
        assert!(update.ejected.is_empty(), "all get calls");
        let wake_at = update.wake_at.unwrap();
        assert!(wake_at <= script.now() + STEP, "successes are looked for");
    }
}

#[test]
fn a_few_failures_of_a_busy_fleet_take_nobody_out() {
    let mut script = weighted(&[1.0; 10]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    let (mut random, mut failures) = (1_u64, 0);
    // A minute, in which each endpoint has 5 calls per 5 ms; of 1 000 one ends with UNAVAILABLE.
    for _ in 0..12_000 {
        let mut has_failed = false;
        for id in 0..10 {
            script.end(id, 5, Outcome::Success);
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            if (random >> 33).is_multiple_of(200) {
                script.end(id, 1, UNAVAILABLE);
                has_failed = true;
            }
        }
        script.advance(Duration::from_millis(5));
        if has_failed {
            failures += 1;
            let update = script.update(&mut policy);
            assert!(update.ejected.is_empty(), "after {failures}");
            let shares = counts(&script.picks(&*update.picker, 1_000), 10);
            assert!(shares.iter().all(|share| *share < 600), "{shares:?}");
        }
    }
    assert!(failures > 400, "{failures}");
}

#[test]
fn never_more_than_half_of_the_weight_is_out() {
    let mut script = weighted(&[10.0, 20.0, 30.0, 40.0, 1.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    for _ in 0..20 {
        for id in 0..4 {
            script.end(id, 3, UNAVAILABLE);
        }
        script.end(4, 3, Outcome::Success);
        let update = script.update(&mut policy);
        let out: Vec<_> = update.ejected.iter().map(|(place, _)| place.0).collect();
        assert_eq!(out, [0, 1]);
        script.advance(Duration::from_millis(40));
    }
    // The others are halved again and again instead; without that it would have a share of 14.
    let shares = shares(&script, &mut policy, 1_000);
    assert!(shares[4] > 300, "{shares:?}");
}

#[test]
fn a_probe_that_nobody_answers_is_looked_for_more_and_more_rarely() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(0, 2, UNAVAILABLE);
    let mut looks = 0;
    let start = script.now();
    while script.now() < start + Duration::from_secs(600) {
        let wake_at = script.update(&mut policy).wake_at.unwrap();
        script.advance(wake_at - script.now());
        looks += 1;
    }
    assert!(looks < 30, "{looks}");
    script.end(1, 1, Outcome::Success);
    let wake_at = script.update(&mut policy).wake_at;
    assert_eq!(wake_at, Some(script.now() + STEP), "there are calls again");
}

#[test]
fn the_first_of_all_that_succeeds_gets_the_calls() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(0, 2, UNAVAILABLE);
    script.end(1, 2, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 30), [10, 20]);
    script.end(1, 1, Outcome::Success);
    assert_eq!(shares(&script, &mut policy, 30), [0, 30]);
}

#[test]
fn a_new_connection_begins_with_all_of_its_weight() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut policy = RegisteredWeightedRoundRobin::default();
    script.update(&mut policy);
    script.end(0, 2, UNAVAILABLE);
    assert_eq!(shares(&script, &mut policy, 30), [0, 30]);
    script.hold_back(0, "breaker open");
    script.update(&mut policy);
    script.set(0, Ready);
    assert_eq!(
        shares(&script, &mut policy, 30),
        [0, 30],
        "it was connected"
    );
    script.set(0, Connecting);
    script.update(&mut policy);
    script.end(0, 5, UNAVAILABLE);
    script.set(0, Ready);
    assert_eq!(shares(&script, &mut policy, 30), [10, 20]);
}

#[test]
fn nothing_is_taken_for_other_failures_or_when_that_is_off() {
    let off = RegisteredWeightedRoundRobinConfig {
        react_to_errors: false,
        ..Default::default()
    };
    for (config, outcome) in [
        (off, EXHAUSTED),
        (off, UNAVAILABLE),
        (Default::default(), Outcome::Failure(Code::Internal)),
        (Default::default(), Outcome::Abandoned),
    ] {
        let mut script = weighted(&[10.0, 20.0, 30.0]);
        let mut policy = RegisteredWeightedRoundRobin::new(config);
        script.update(&mut policy);
        script.end(1, 9, outcome);
        let update = script.update(&mut policy);
        assert_ne!(update.observe.failures.is_empty(), config.react_to_errors);
        assert_eq!(update.wake_at, None);
        assert_eq!(shares(&script, &mut policy, 60), [10, 20, 30]);
    }
}

#[test]
fn another_config_keeps_what_is_known() {
    let mut script = weighted(&[10.0, 20.0]);
    let mut config = RegisteredWeightedRoundRobinConfig::default();
    let mut policy = config.build();
    script.update(&mut *policy);
    script.end(0, 2, UNAVAILABLE);
    assert_eq!(shares(&script, &mut *policy, 30), [0, 30]);
    config.probe_interval = Duration::from_secs(5);
    assert!(config.reconfigure(&mut *policy));
    assert_eq!(shares(&script, &mut *policy, 30), [0, 30]);
    config.react_to_errors = false;
    assert!(config.reconfigure(&mut *policy));
    assert_eq!(shares(&script, &mut *policy, 30), [10, 20]);
    assert!(!config.reconfigure(&mut crate::lb::RoundRobin::new()));
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(EXHAUSTED),
        Just(UNAVAILABLE),
        Just(Outcome::Failure(Code::Internal)),
        Just(Outcome::Abandoned),
    ]
}

proptest! {
    /// Whatever fails: READY or held back, and untried while there is one.
    #[test]
    fn reactions_never_leave_a_call_without_an_endpoint(
        events in proptest::collection::vec((0_u64..5, any_outcome(), any_state(), 0_u64..3_000), 1..40),
        tried in proptest::collection::vec(0_u64..5, 0..4),
    ) {
        let mut script = weighted(&[1.0, 7.0, 0.3, 1e-300, 1e300]);
        let mut policy = RegisteredWeightedRoundRobin::default();
        for (random, (id, outcome, state, millis)) in (0..).zip(events) {
            script.end(id, 2, outcome);
            script.set(id, state);
            if random % 7 == 0 {
                script.hold_back(id, "breaker open");
            }
            script.advance(Duration::from_millis(millis));
            let update = script.update(&mut policy);
            prop_assert!(update.wake_at.is_none_or(|at| at > script.now()));
            if update.state == Ready {
                let picked = script.pick(&*update.picker, &tried, random);
                let untried = script.endpoints.iter().any(|endpoint| {
                    endpoint.state == Ready && !tried.contains(&endpoint.id.0)
                });
                prop_assert!(!(untried && tried.contains(&picked)));
            }
        }
    }
}
