use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use http::HeaderMap;
use proptest::prelude::*;

use super::RoundRobin;
use crate::script::Script;
use evenkeel_core::{Pick, PickArgs};

#[test]
fn the_channel_state_aggregates_and_idle_endpoints_connect_at_once() {
    for (states, channel, connect) in [
        (&[][..], TransientFailure, &[][..]),
        (&[Idle, Idle], Connecting, &[0, 1]),
        (&[TransientFailure, Idle], Connecting, &[1]),
        (&[TransientFailure, Connecting], Connecting, &[]),
        (&[TransientFailure, TransientFailure], TransientFailure, &[]),
        (&[Idle, Ready, TransientFailure], Ready, &[0]),
    ] {
        let script = Script::new(states);
        let update = script.update(&mut RoundRobin::new());
        assert_eq!(update.state, channel, "{states:?}");
        assert_eq!(script.ids(&update.connect), connect, "{states:?}");
        assert!(update.disconnect.is_empty() && update.wake_at.is_none());

        let headers = HeaderMap::new();
        let pick = update.picker.pick(&PickArgs::new("/s/m", &headers, 0));
        let fits = match channel {
            Connecting => matches!(pick, Pick::Queue),
            TransientFailure => matches!(pick, Pick::Fail(_)),
            _ => matches!(pick, Pick::Endpoint(_)),
        };
        assert!(fits, "{states:?}: {pick:?}");
    }
}

#[test]
fn clients_start_at_different_endpoints() {
    let mut script = Script::new(&[Ready, Ready, Ready]);
    let starts: Vec<u64> = (0..3)
        .map(|random: u64| {
            script.random = random << 32;
            script.pick(&*script.update(&mut RoundRobin::new()).picker, &[], 0)
        })
        .collect();
    assert_eq!(starts, [0, 1, 2]);
}

#[test]
fn the_turn_goes_on_when_the_picker_is_rebuilt() {
    let script = Script::new(&[Ready, Ready, Ready]);
    let mut policy = RoundRobin::new();
    let picks: Vec<u64> = (0..6)
        .map(|_| script.pick(&*script.update(&mut policy).picker, &[], 0))
        .collect();
    assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_retry_goes_to_an_untried_endpoint_while_there_is_one() {
    let script = Script::new(&[Ready, TransientFailure, Ready, Ready]);
    let picker = script.update(&mut RoundRobin::new()).picker;
    for tried in [&[0][..], &[0, 2], &[3, 3], &[1, 0, 2, 9]] {
        for _ in 0..20 {
            let picked = script.pick(&*picker, tried, 0);
            assert!(!tried.contains(&picked), "{picked} of {tried:?}");
        }
    }
    let all = &[0, 2, 3];
    let mut picked: Vec<u64> = (0..3).map(|_| script.pick(&*picker, all, 0)).collect();
    picked.sort_unstable();
    assert_eq!(picked, all, "as if none were tried");
}

#[test]
fn the_load_of_a_failing_endpoint_is_shared_by_all_others() {
    let script = Script::new(&[Ready; 4]);
    let picker = script.update(&mut RoundRobin::new()).picker;
    let mut counts = [0_u32; 4];
    for _ in 0..1_200 {
        let first = script.pick(&*picker, &[], 0);
        counts[first as usize] += 1;
        if first == 0 {
            counts[script.pick(&*picker, &[0], 0) as usize] += 1;
        }
    }
    assert_eq!(
        counts[1..].iter().max(),
        counts[1..].iter().min(),
        "{counts:?}"
    );
}

#[test]
fn picks_from_many_threads_are_shared_exactly() {
    const ENDPOINTS: usize = 7;
    const THREADS: usize = 8;
    const ROUNDS: usize = 10_000;
    let script = Script::new(&[Ready; ENDPOINTS]);
    let picker = script.update(&mut RoundRobin::new()).picker;
    let counts: [AtomicUsize; ENDPOINTS] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let headers = HeaderMap::new();
                let args = PickArgs::new("/s/m", &headers, 0);
                for _ in 0..ENDPOINTS * ROUNDS {
                    match picker.pick(&args) {
                        Pick::Endpoint(index) => counts[index.0].fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    let counts = counts.map(AtomicUsize::into_inner);
    assert_eq!(counts, [THREADS * ROUNDS; ENDPOINTS]);
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
    fn every_window_of_n_picks_has_each_ready_endpoint_once(
        states in proptest::collection::vec(any_state(), 1..20),
        random: u64,
        skip in 0_usize..50,
    ) {
        let mut script = Script::new(&states);
        script.random = random;
        let update = script.update(&mut RoundRobin::new());
        let ready: Vec<u64> = (0..states.len() as u64)
            .filter(|id| states[*id as usize] == Ready)
            .collect();
        prop_assume!(!ready.is_empty());
        script.picks(&*update.picker, skip);
        let mut window = script.picks(&*update.picker, ready.len());
        window.sort_unstable();
        prop_assert_eq!(window, ready);
    }
}
