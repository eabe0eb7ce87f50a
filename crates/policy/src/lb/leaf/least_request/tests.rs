use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use proptest::prelude::*;

use super::{LeastRequest, LeastRequestConfig};
use crate::script::Script;

fn policy(choice_count: u32) -> LeastRequest {
    LeastRequest::new(LeastRequestConfig { choice_count })
}

#[test]
fn choice_count_stays_within_its_bounds() {
    for (given, used) in [(0, 2), (2, 2), (7, 7), (10, 10), (11, 10), (u32::MAX, 10)] {
        assert_eq!(policy(given).config.choice_count, used);
    }
}

#[test]
fn the_one_with_fewer_calls_in_flight_is_picked() {
    let script = Script::new(&[Ready; 2]);
    script.endpoints[0].stats.begin();
    let picker = script.update(&mut policy(10)).picker;
    let picks = script.picks(&*picker, 1_000);
    // The busy one only when it is all ten choices.
    assert!(picks.iter().filter(|id| **id == 0).count() < 10);
}

#[test]
fn equal_loads_are_shared_evenly() {
    let script = Script::new(&[Ready, TransientFailure, Ready, Ready]);
    let picker = script.update(&mut policy(2)).picker;
    let mut counts = [0_u32; 4];
    for id in script.picks(&*picker, 30_000) {
        counts[id as usize] += 1;
    }
    assert_eq!(counts[1], 0);
    for id in [0, 2, 3] {
        assert!((9_700..10_300).contains(&counts[id]), "{counts:?}");
    }
}

#[test]
fn counters_survive_updates() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = policy(10);
    script.update(&mut policy);
    script.endpoints[1].stats.begin();
    script.set(0, Idle);
    script.update(&mut policy);
    script.set(0, Ready);
    let picker = script.update(&mut policy).picker;
    assert!(
        script
            .picks(&*picker, 100)
            .iter()
            .filter(|id| **id == 1)
            .count()
            < 5
    );
}

#[test]
fn an_idle_tried_endpoint_is_not_preferred_to_a_busy_untried_one() {
    let script = Script::new(&[Ready; 3]);
    for _ in 0..50 {
        script.endpoints[2].stats.begin();
    }
    let picker = script.update(&mut policy(2)).picker;
    for random in 0..200 {
        assert_eq!(script.pick(&*picker, &[0, 1], random), 2);
        script.pick(&*picker, &[0, 1, 2], random);
    }
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![
        Just(Idle),
        Just(Connecting),
        Just(Ready),
        Just(TransientFailure)
    ]
}

proptest! {
    #[test]
    fn only_ready_endpoints_are_picked_and_tried_ones_last(
        endpoints in proptest::collection::vec((any_state(), 0_u32..5), 1..20),
        tried in proptest::collection::vec(0_u64..20, 0..6),
        choice_count in 0_u32..12,
        random: u64,
    ) {
        let states: Vec<_> = endpoints.iter().map(|(state, _)| *state).collect();
        prop_assume!(states.contains(&Ready));
        let script = Script::new(&states);
        for (endpoint, (_, in_flight)) in script.endpoints.iter().zip(&endpoints) {
            (0..*in_flight).for_each(|_| endpoint.stats.begin());
        }
        let picker = script.update(&mut policy(choice_count)).picker;
        let picked = script.pick(&*picker, &tried, random);
        let untried = (0..states.len()).any(|id| states[id] == Ready && !tried.contains(&(id as u64)));
        prop_assert!(!(untried && tried.contains(&picked)));
    }
}
