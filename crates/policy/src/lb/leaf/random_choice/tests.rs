use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use proptest::prelude::*;

use super::RandomChoice;
use crate::script::Script;

#[test]
fn all_ready_endpoints_have_the_same_chance() {
    let script = Script::new(&[Ready, TransientFailure, Ready, Idle, Ready]);
    let picker = script.update(&mut RandomChoice::new()).picker;
    let mut counts = [0_u32; 5];
    for id in script.picks(&*picker, 30_000) {
        counts[id as usize] += 1;
    }
    assert_eq!((counts[1], counts[3]), (0, 0));
    for id in [0, 2, 4] {
        assert!((9_700..10_300).contains(&counts[id]), "{counts:?}");
    }
}

#[test]
fn a_retry_has_the_same_chance_at_each_untried_endpoint() {
    let script = Script::new(&[Ready; 5]);
    let picker = script.update(&mut RandomChoice::new()).picker;
    let mut counts = [0_u32; 5];
    for random in 0..30_000 {
        counts[script.pick(&*picker, &[1, 4], random) as usize] += 1;
    }
    assert_eq!((counts[1], counts[4]), (0, 0));
    for id in [0, 2, 3] {
        assert!((9_700..10_300).contains(&counts[id]), "{counts:?}");
    }
    let all = &[0, 1, 2, 3, 4];
    let picked = (0..100).map(|random| script.pick(&*picker, all, random));
    let different: std::collections::HashSet<u64> = picked.collect();
    assert_eq!(different.len(), 5, "as if none were tried");
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
        states in proptest::collection::vec(any_state(), 1..20),
        tried in proptest::collection::vec(0_u64..20, 0..6),
        random: u64,
    ) {
        prop_assume!(states.contains(&Ready));
        let script = Script::new(&states);
        let picker = script.update(&mut RandomChoice::new()).picker;
        let picked = script.pick(&*picker, &tried, random);
        let untried = (0..states.len()).any(|id| states[id] == Ready && !tried.contains(&(id as u64)));
        prop_assert!(!(untried && tried.contains(&picked)));
    }
}
