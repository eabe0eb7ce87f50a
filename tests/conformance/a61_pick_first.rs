//! gRFC A61 (Happy Eyeballs in pick_first).

use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Address, Endpoint, Pick, Policy, Update};
use evenkeel_policy::script::Script;

const DELAY: Duration = Duration::from_millis(250);

fn pick_first() -> Box<dyn Policy> {
    crate::chosen::policy("pick_first", "{}")
}

fn answer(script: &Script, update: &Update) -> Pick {
    script.answer(&*update.picker, &[], 0)
}

/// The ids in the order in which they are dialled, when each fails at once.
fn dialled(script: &mut Script) -> Vec<u64> {
    let mut policy = pick_first();
    let mut dialled = Vec::new();
    loop {
        let update = script.update(&mut *policy);
        let Some(&id) = script.ids(&update.connect).first() else {
            return dialled;
        };
        dialled.push(id);
        script.fail(id, "refused");
    }
}

#[test]
fn address_families_take_turns_and_that_of_the_first_address_leads() {
    for (addresses, order) in [
        (
            &["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1"][..],
            &[0, 2, 1, 3][..],
        ),
        (
            &["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "[::1]:1"],
            &[0, 3, 1, 2],
        ),
        (&["1.1.1.1:1", "1.1.1.2:1"], &[0, 1]),
        // IPv4 in IPv6's clothes is IPv4.
        (&["1.1.1.1:1", "[::ffff:1.1.1.2]:1", "[::1]:1"], &[0, 2, 1]),
    ] {
        let mut script = Script::new(&vec![Idle; addresses.len()]);
        for (id, address) in (0..).zip(addresses) {
            let address: Address = address.parse().unwrap();
            script.find(id).endpoint = Arc::new(Endpoint::new(address));
        }
        assert_eq!(dialled(&mut script), order, "{addresses:?}");
    }
}

#[test]
fn the_next_attempt_begins_after_250_ms_and_the_earlier_ones_go_on() {
    let mut script = Script::new(&[Idle, Idle, Idle]);
    let mut policy = pick_first();
    for id in 0..3 {
        let update = script.update(&mut *policy);
        assert_eq!(script.ids(&update.connect), [id]);
        assert!(update.disconnect.is_empty(), "nothing is aborted");
        let timer = (id < 2).then(|| script.now() + DELAY);
        assert_eq!(update.wake_at, timer, "the last one has none");
        script.set(id, Connecting);
        script.advance(DELAY - Duration::from_millis(1));
        assert!(script.update(&mut *policy).connect.is_empty());
        script.advance(Duration::from_millis(1));
    }
}

#[test]
fn a_failure_of_the_current_attempt_begins_the_next_and_another_failure_does_not() {
    let mut script = Script::new(&[Idle; 4]);
    let mut policy = pick_first();
    script.update(&mut *policy);
    script.set(0, Connecting);
    script.advance(DELAY);
    assert_eq!(script.ids(&script.update(&mut *policy).connect), [1]);
    script.set(1, Connecting);
    script.fail(0, "refused");
    assert!(script.update(&mut *policy).connect.is_empty());
    script.fail(1, "refused");
    assert_eq!(script.ids(&script.update(&mut *policy).connect), [2]);
}

#[test]
fn the_first_to_be_ready_wins_and_the_others_are_dropped() {
    let mut script = Script::new(&[Connecting, Connecting, Connecting, Idle]);
    let mut policy = pick_first();
    script.update(&mut *policy);
    script.set(2, Ready);
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Ready);
    assert_eq!(script.ids(&update.disconnect), [0, 1]);
    assert_eq!(script.picks(&*update.picker, 3), [2, 2, 2]);
}

#[test]
fn an_address_in_backoff_counts_as_failed_and_one_that_connects_as_begun() {
    let script = Script::new(&[TransientFailure, Connecting, Idle]);
    let mut policy = pick_first();
    let update = script.update(&mut *policy);
    assert!(update.connect.is_empty(), "the second is waited for");
    assert_eq!(update.wake_at, Some(script.now() + DELAY));
}

#[test]
fn the_channel_fails_when_every_address_has_failed_once_and_not_before() {
    let mut script = Script::new(&[Idle, Idle, Idle]);
    let mut policy = pick_first();
    for id in 0..3 {
        let update = script.update(&mut *policy);
        assert_eq!(update.state, Connecting);
        assert!(matches!(answer(&script, &update), Pick::Queue));
        script.fail(id, format!("refusal {id}"));
    }
    let update = script.update(&mut *policy);
    assert_eq!(update.state, TransientFailure);
    let Pick::Fail(status) = answer(&script, &update) else {
        panic!("calls fail");
    };
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().contains("refusal 2"), "{status}");
}

#[test]
fn then_each_address_is_dialled_again_when_its_backoff_ends() {
    let mut script = Script::new(&[TransientFailure; 3]);
    let mut policy = pick_first();
    assert_eq!(script.update(&mut *policy).state, TransientFailure);
    for id in [1, 0, 2] {
        script.set(id, Idle);
        let update = script.update(&mut *policy);
        assert_eq!(script.ids(&update.connect), [id], "in no order");
        script.set(id, Connecting);
    }
    script.set(1, Ready);
    assert_eq!(script.update(&mut *policy).state, Ready);
}

#[test]
fn a_lost_connection_makes_it_idle_and_the_next_pass_begins_with_the_first_address() {
    let mut script = Script::new(&[TransientFailure, Ready, Idle]);
    let mut policy = pick_first();
    script.update(&mut *policy);
    script.set(0, Idle);
    script.set(1, Idle);
    let update = script.update(&mut *policy);
    assert_eq!((update.state, update.connect.len()), (Idle, 0));
    script.call_waiting = true;
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Connecting);
    assert_eq!(script.ids(&update.connect), [0]);
}

#[test]
fn a_new_list_with_the_connected_address_keeps_the_connection() {
    let mut script = Script::new(&[Idle, Ready]);
    let mut policy = pick_first();
    script.update(&mut *policy);
    script.endpoints.reverse();
    script.remove(0);
    script.add(5, Idle);
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Ready);
    assert!(update.connect.is_empty() && update.disconnect.is_empty());

    script.remove(1);
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Connecting, "without it there is a new pass");
    assert_eq!(script.ids(&update.connect), [5]);
}
