use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use evenkeel_core::ConnectivityState::{Idle, Ready, TransientFailure};
use evenkeel_core::{BuildPolicy, EndpointIndex, Pick, PickArgs, Picker};
use proptest::prelude::*;

use super::*;
use crate::lb::{
    BuildWrapper, LeastRequest, LeastRequestConfig, PickFirst, RegisteredWeightedRoundRobin,
    RoundRobin,
};
use crate::script::Script;

const WINDOW: Duration = Duration::from_secs(30);

fn around(child: impl Policy) -> SlowStart {
    SlowStart::new(SlowStartConfig::default(), Box::new(child))
}

/// Two endpoints that are up to speed, and one that has just been connected.
fn one_new_of_three(policy: &mut SlowStart) -> Script {
    let mut script = Script::new(&[Ready, Ready, Idle]);
    script.update(policy);
    script.advance(WINDOW);
    script.set(2, Ready);
    script.update(policy);
    script
}

/// The share of each endpoint, in percent.
fn shares(script: &Script, policy: &mut dyn Policy) -> Vec<f64> {
    const CALLS: u64 = 40_000;
    let picker = script.update(policy).picker;
    let mut counts = vec![0_u32; script.endpoints.len()];
    let mut random = crate::lb::shared::random::Random::new(1);
    for _ in 0..CALLS {
        counts[script.pick(&*picker, &[], random.next()) as usize] += 1;
    }
    let share = |count: &u32| f64::from(*count) * 100.0 / CALLS as f64;
    counts.iter().map(share).collect()
}

fn assert_near(shares: &[f64], expected: &[f64]) {
    let is_near = |(one, other): (&f64, &f64)| (one - other).abs() < 1.0;
    assert!(
        shares.len() == expected.len() && shares.iter().zip(expected).all(is_near),
        "{shares:?}, not {expected:?}"
    );
}

#[test]
fn a_new_endpoint_grows_from_the_least_part_to_its_full_share() {
    let mut policy = around(RoundRobin::new());
    let mut script = one_new_of_three(&mut policy);
    let mut elapsed = 0;
    for (seconds, part) in [(0, 0.1), (2, 0.1), (6, 0.2), (15, 0.5), (30, 1.0)] {
        script.advance(Duration::from_secs(seconds - elapsed));
        elapsed = seconds;
        let expected = [1.0, 1.0, part].map(|share| share * 100.0 / (2.0 + part));
        assert_near(&shares(&script, &mut policy), &expected);
    }
}

#[test]
fn the_part_follows_the_aggression_within_its_bounds() {
    let config = |aggression, min_weight_percent| SlowStartConfig {
        aggression,
        min_weight_percent,
        ..Default::default()
    };
    for (aggression, least, seconds, expected) in [
        (1.0, 10, 0.0, 0.1),
        (1.0, 10, 3.0, 0.1),
        (1.0, 10, 7.5, 0.25),
        (2.0, 10, 7.5, 0.5),
        (0.5, 1, 15.0, 0.25),
        (0.5, 50, 15.0, 0.5),
        (1.0, 100, 0.0, 1.0),
        (1.0, 0, 0.0, 0.01),
        (1.0, 900, 0.0, 1.0),
        (1.0, 10, 30.0, 1.0),
        (0.0, 10, 15.0, 0.5),
        (-1.0, 10, 15.0, 0.5),
        (f64::NAN, 10, 15.0, 0.5),
        (f64::INFINITY, 10, 15.0, 0.5),
    ] {
        let part = config(aggression, least).part(Duration::from_secs_f64(seconds));
        let case = format!("{aggression} {least} {seconds}: {part}");
        assert!((part - expected).abs() < 1e-9, "{case}");
    }
}

#[test]
fn the_shares_of_registered_weights_are_scaled() {
    let mut policy = around(RegisteredWeightedRoundRobin::default());
    let mut script = Script::new(&[Ready, Ready, Idle, Idle]);
    for (id, weight) in [(0, 10.0), (1, 20.0), (2, 40.0), (3, 30.0)] {
        script.weigh(id, weight);
    }
    script.update(&mut policy);
    script.advance(WINDOW);
    script.set(2, Ready);
    script.update(&mut policy);
    script.advance(Duration::from_secs(15));
    script.set(3, Ready);
    // 10, 20, half of 40, a tenth of 30: 53 in all.
    let expected = [10.0, 20.0, 20.0, 3.0].map(|part| part * 100.0 / 53.0);
    assert_near(&shares(&script, &mut policy), &expected);
}

#[test]
fn a_child_that_draws_from_the_same_random_number_is_no_exception() {
    let mut policy = around(LeastRequest::new(LeastRequestConfig::default()));
    let script = one_new_of_three(&mut policy);
    let expected = [1.0, 1.0, 0.1].map(|part| part * 100.0 / 2.1);
    assert_near(&shares(&script, &mut policy), &expected);
}

#[test]
fn endpoints_that_are_all_new_share_as_ever() {
    let script = Script::new(&[Ready; 3]);
    let mut policy = around(RoundRobin::new());
    let update = script.update(&mut policy);
    assert_eq!(update.wake_at, None);
    assert_eq!(script.picks(&*update.picker, 6), [0, 1, 2, 0, 1, 2]);

    // The last is the first to be there: nobody is ahead of it.
    let mut script = one_new_of_three(&mut policy);
    script.set(0, TransientFailure);
    script.set(1, TransientFailure);
    let update = script.update(&mut policy);
    assert_eq!(script.picks(&*update.picker, 3), [2, 2, 2]);
}

/// Round robin that counts how often it is asked.
struct Counted(RoundRobin, Arc<AtomicUsize>);

#[derive(Debug)]
struct CountedPicker(Arc<dyn Picker>, Arc<AtomicUsize>);

impl Policy for Counted {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = self.0.update(now, view);
        update.picker = Arc::new(CountedPicker(update.picker, self.1.clone()));
        update
    }
}

impl Picker for CountedPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.pick(args)
    }
}

#[test]
fn who_is_ahead_keeps_each_of_its_picks_though_it_is_not_at_its_full_share() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut policy = around(Counted(RoundRobin::new(), asked.clone()));
    let mut script = Script::new(&[Ready, Idle]);
    script.update(&mut policy);
    script.advance(Duration::from_secs(3));
    script.set(1, Ready);
    script.update(&mut policy);
    script.advance(Duration::from_secs(3));
    // A fifth, and a tenth: two to one.
    assert_near(&shares(&script, &mut policy), &[200.0 / 3.0, 100.0 / 3.0]);
    let calls = 40_000;
    let asked = asked.load(Ordering::Relaxed);
    assert!((calls..calls * 3 / 2).contains(&asked), "{asked}");
}

#[test]
fn however_many_are_new_a_call_asks_its_child_seven_times_at_most() {
    let asked = Arc::new(AtomicUsize::new(0));
    let config = SlowStartConfig {
        min_weight_percent: 1,
        ..Default::default()
    };
    let child = Counted(RoundRobin::new(), asked.clone());
    let mut policy = SlowStart::new(config, Box::new(child));
    let mut script = Script::new(&[Idle; 100]);
    script.set(0, Ready);
    script.update(&mut policy);
    script.advance(WINDOW);
    for id in 1..100 {
        script.set(id, Ready);
    }
    let picker = script.update(&mut policy).picker;
    let mut most = 0;
    for random in 0..1_000 {
        let before = asked.load(Ordering::Relaxed);
        script.pick(&*picker, &[], random);
        most = most.max(asked.load(Ordering::Relaxed) - before);
    }
    assert_eq!(most, 7);
}

#[test]
fn it_asks_to_be_called_in_steps_while_somebody_ramps_up() {
    for (window, step) in [(30_000, 1_500), (2_000, 100), (500, 100), (0, 0)] {
        let config = SlowStartConfig {
            window: Duration::from_millis(window),
            ..Default::default()
        };
        let mut policy = SlowStart::new(config, Box::new(RoundRobin::new()));
        let mut script = one_new_of_three(&mut policy);
        let step = Duration::from_millis(step);
        let wake_at = (!step.is_zero()).then(|| script.now() + step);
        assert_eq!(script.update(&mut policy).wake_at, wake_at, "{window} ms");
        script.advance(Duration::from_millis(window));
        assert_eq!(script.update(&mut policy).wake_at, None, "{window} ms");
    }
}

#[test]
fn who_reconnects_ramps_up_again_and_who_was_held_back_does_not() {
    let mut policy = around(RoundRobin::new());
    let mut script = one_new_of_three(&mut policy);
    script.advance(WINDOW);
    for passes in [true, false] {
        script.hold_back(2, "breaker open");
        script.find(2).held_back = passes;
        script.update(&mut policy);
        script.set(2, Ready);
        assert_near(&shares(&script, &mut policy), &[100.0 / 3.0; 3]);
    }
    script.set(2, Idle);
    script.update(&mut policy);
    script.set(2, Ready);
    let expected = [1.0, 1.0, 0.1].map(|part| part * 100.0 / 2.1);
    assert_near(&shares(&script, &mut policy), &expected);
}

#[test]
fn a_retry_goes_to_the_untried_endpoint_even_if_it_is_new() {
    let mut policy = around(RoundRobin::new());
    let script = one_new_of_three(&mut policy);
    let picker = script.update(&mut policy).picker;
    for random in 0..100 {
        assert_eq!(script.pick(&*picker, &[0, 1], random), 2);
    }
}

#[test]
fn a_child_that_insists_keeps_its_choice() {
    let mut policy = around(PickFirst::default());
    let mut script = one_new_of_three(&mut policy);
    script.remove(0);
    let update = script.update(&mut policy);
    assert_eq!(script.picks(&*update.picker, 100), [1; 100]);
}

/// Gives its endpoint once, and has no other.
#[derive(Debug)]
struct Once(AtomicBool);

impl Picker for Once {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        if self.0.swap(true, Ordering::Relaxed) {
            Pick::Queue
        } else {
            Pick::Endpoint(EndpointIndex(0))
        }
    }
}

#[test]
fn a_child_that_has_no_other_endpoint_does_not_make_the_call_wait() {
    let script = Script::new(&[Ready]);
    for random in 0..100 {
        let picker = RampPicker::new(Arc::new(Once(false.into())), Box::new([0.01]));
        assert_eq!(script.pick(&picker, &[], random), 0);
    }
}

#[test]
fn a_new_config_keeps_who_has_got_how_far() {
    let mut script = Script::new(&[Ready, Idle]);
    let build = |window| {
        let config = SlowStartConfig {
            window,
            ..Default::default()
        };
        BuildWrapper::<SlowStart>::new(config, Arc::new(RoundRobin::new))
    };
    let mut policy = build(WINDOW).build();
    script.update(&mut *policy);
    script.advance(WINDOW * 2);
    script.set(1, Ready);
    script.update(&mut *policy);
    script.advance(WINDOW);
    assert!(build(WINDOW * 2).reconfigure(&mut *policy));
    assert_near(&shares(&script, &mut *policy), &[100.0 / 1.5, 50.0 / 1.5]);
}

proptest! {
    #[test]
    fn whatever_ramps_up_only_ready_or_held_back_endpoints_are_picked(
        steps in proptest::collection::vec((0..6_u64, 0..4_u8, 0..20_000_u64), 1..40),
        random: u64,
    ) {
        let mut script = Script::new(&[Idle; 6]);
        let mut policy = around(RoundRobin::new());
        for (id, action, milliseconds) in steps {
            script.advance(Duration::from_millis(milliseconds));
            match action {
                0 => script.set(id, Ready),
                1 => script.fail(id, "refused"),
                2 => script.hold_back(id, "open"),
                _ => script.set(id, Idle),
            }
            let update = script.update(&mut policy);
            for tried in [&[][..], &[id], &[0, 1, 2]] {
                if update.state == Ready {
                    let picked = script.pick(&*update.picker, tried, random);
                    let untried = script.endpoints.iter().any(|one| {
                        one.state == Ready && !tried.contains(&one.id.0)
                    });
                    prop_assert!(!untried || !tried.contains(&picked));
                }
            }
        }
    }
}
