//! gRFC A48 (least_request), with the states of A61 and A62.

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Outcome, Picker, Policy};
use evenkeel_policy::script::Script;

const NAME: &str = "least_request_experimental";

fn choosing(config: &str) -> Box<dyn Policy> {
    crate::chosen::policy(NAME, config)
}

/// Lets `count` calls run at an endpoint.
fn begin(script: &mut Script, id: u64, count: usize) {
    for _ in 0..count {
        script.find(id).stats.begin();
    }
}

/// How many of `count` picks each endpoint gets.
fn shares<const N: usize>(script: &Script, picker: &dyn Picker, count: usize) -> [u32; N] {
    let mut shares = [0; N];
    for id in script.picks(picker, count) {
        shares[id as usize] += 1;
    }
    shares
}

#[test]
fn the_choice_count_is_an_integer_of_at_least_2() {
    for (config, reason) in [
        (r#"{"choiceCount": 1}"#, "choiceCount"),
        (r#"{"choiceCount": 0}"#, "choiceCount"),
        (r#"{"choiceCount": -2}"#, "choiceCount"),
        (r#"{"choiceCount": 2.5}"#, "choiceCount"),
        (r#"{"choiceCount": true}"#, "choiceCount"),
    ] {
        let refusal = crate::chosen::refusal(NAME, config);
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }
}

#[test]
fn the_choice_count_is_2_by_default() {
    let mut script = Script::new(&[Ready, Ready]);
    begin(&mut script, 0, 1);
    for config in ["{}", r#"{"choiceCount": 2}"#] {
        let picker = script.update(&mut *choosing(config)).picker;
        // Only when both choices are the busy one: 1 in 4.
        let [busy, _] = shares(&script, &*picker, 10_000);
        assert!((2_350..2_650).contains(&busy), "{config}: {busy}");
    }
}

#[test]
fn a_choice_count_of_more_than_10_is_10() {
    let mut script = Script::new(&[Ready, Ready]);
    begin(&mut script, 0, 1);
    for count in [10, 11, 100, u32::MAX] {
        let config = format!(r#"{{"choiceCount": {count}}}"#);
        let picker = script.update(&mut *choosing(&config)).picker;
        // 1 in 1024.
        let [busy, _] = shares(&script, &*picker, 102_400);
        assert!((50..150).contains(&busy), "{config}: {busy}");
    }
}

#[test]
fn choices_are_uniform_and_may_be_the_same_endpoint() {
    let script = Script::new(&[Ready; 4]);
    let picker = script.update(&mut *choosing("{}")).picker;
    let shares: [u32; 4] = shares(&script, &*picker, 40_000);
    // Of equally loaded ones the first choice is kept, so each gets as many.
    assert!(
        shares.iter().all(|share| (9_500..10_500).contains(share)),
        "{shares:?}"
    );

    let mut script = Script::new(&[Ready; 4]);
    begin(&mut script, 2, 1);
    let picker = script.update(&mut *choosing("{}")).picker;
    let [_, _, busy, _] = self::shares(&script, &*picker, 16_000);
    // Twice the same one, and that the busy one: 1 in 16, not never.
    assert!((850..1_150).contains(&busy), "{busy}");
}

#[test]
fn the_choice_with_fewer_active_requests_is_picked() {
    let mut script = Script::new(&[Ready, Ready, Ready]);
    for id in 0..3 {
        begin(&mut script, id, id as usize);
    }
    let picker = script.update(&mut *choosing("{}")).picker;
    let [least, middle, most] = shares(&script, &*picker, 9_000);
    // 5, 3 and 1 of the 9 pairs.
    for (share, expected) in [(least, 5_000), (middle, 3_000), (most, 1_000_u32)] {
        assert!(share.abs_diff(expected) < 250, "{least} {middle} {most}");
    }
}

#[test]
fn a_request_is_active_until_it_ends_in_whatever_way() {
    for outcome in [
        Outcome::Success,
        Outcome::Failure(tonic::Code::Internal),
        Outcome::Abandoned,
    ] {
        let mut script = Script::new(&[Ready, Ready]);
        let picker = script
            .update(&mut *choosing(r#"{"choiceCount": 10}"#))
            .picker;
        begin(&mut script, 0, 1);
        let [busy, _] = shares(&script, &*picker, 1_000);
        assert!(busy < 20, "the same picker sees it: {busy}");
        script.find(0).stats.end(outcome);
        begin(&mut script, 1, 1);
        let [free, _] = shares(&script, &*picker, 1_000);
        assert!(free > 980, "{outcome:?}: {free}");
    }
}

#[test]
fn counters_survive_updates_of_the_picker_and_of_the_list() {
    let mut script = Script::new(&[Ready, Ready]);
    let mut policy = choosing(r#"{"choiceCount": 10}"#);
    script.update(&mut *policy);
    begin(&mut script, 0, 1);
    script.add(2, TransientFailure);
    script.set(0, Connecting);
    script.update(&mut *policy);
    script.set(0, Ready);
    script.endpoints.reverse();
    let picker = script.update(&mut *policy).picker;
    let [busy, _] = shares(&script, &*picker, 1_000);
    assert!(busy < 20, "{busy}");
}

#[test]
fn connections_and_states_are_those_of_round_robin() {
    for (states, state, connect) in [
        (&[Ready, TransientFailure, Idle][..], Ready, &[2][..]),
        (&[Connecting, TransientFailure], Connecting, &[]),
        (&[Idle, TransientFailure], Connecting, &[0]),
        (&[TransientFailure, TransientFailure], TransientFailure, &[]),
        (&[], TransientFailure, &[]),
    ] {
        let script = Script::new(states);
        for name in [NAME, "round_robin"] {
            let update = script.update(&mut *crate::chosen::policy(name, "{}"));
            assert_eq!(update.state, state, "{name}: {states:?}");
            assert_eq!(script.ids(&update.connect), connect, "{name}: {states:?}");
        }
    }
}
