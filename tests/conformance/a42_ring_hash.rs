//! gRFC A42 (ring_hash), as A61 (endpoints, sticky TRANSIENT_FAILURE) has changed it.

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::Pick;
use evenkeel_policy::script::Script;
use tonic::Code;

use crate::ring::Answer::{Connect, Fail, Queue, To};
use crate::ring::{NAME, address, along_the_ring, answer, by_user, default_ring, hash, ring, walk};

#[test]
fn a_key_belongs_to_the_first_entry_at_or_after_its_hash() {
    for endpoints in [1, 2, 3, 10, 100] {
        let mut script = Script::new(&vec![Ready; endpoints as usize]);
        let picker = script.update(&mut *by_user()).picker;
        let ring = default_ring(endpoints);
        for key in 0..200 {
            let user = format!("user-{key}");
            script.header("user", &user);
            let owner = walk(&ring, hash(&user))[0];
            assert_eq!(
                script.pick(&*picker, &[], 0),
                owner,
                "{user} of {endpoints}"
            );
        }
    }
}

#[test]
fn entries_are_in_proportion_to_weights() {
    // Normalised: 1/6, 2/6, 3/6; the lightest has ceil(100/6) = 17 entries, so the ring has 102.
    let mut script = Script::new(&[Ready; 3]);
    for id in 0..3 {
        script.weigh(id, (id as f64 + 1.0) * 10.0);
    }
    let config = r#"{"requestHashHeader": "user", "minRingSize": 100}"#;
    let picker = script
        .update(&mut *crate::chosen::policy(NAME, config))
        .picker;
    let ring = ring(&[(address(0), 17), (address(1), 34), (address(2), 51)]);
    for key in 0..500 {
        let user = format!("user-{key}");
        script.header("user", &user);
        assert_eq!(
            script.pick(&*picker, &[], 0),
            walk(&ring, hash(&user))[0],
            "{user}"
        );
    }
}

#[test]
fn ring_sizes_are_bounded_and_cut_to_4096() {
    // 5 000 endpoints on a ring of 4 096 entries: some have none.
    let script = Script::new(&vec![Ready; 5_000]);
    let config = r#"{"requestHashHeader": "user", "maxRingSize": 8388608}"#;
    let picker = script
        .update(&mut *crate::chosen::policy(NAME, config))
        .picker;
    let mut random = 0_u64;
    let mut picked = std::collections::HashSet::new();
    for _ in 0..200_000 {
        random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        picked.insert(script.pick(&*picker, &[], random));
    }
    assert!((3_900..=4_096).contains(&picked.len()), "{}", picked.len());

    for (config, reason) in [
        (
            r#"{"minRingSize": 8388609, "maxRingSize": 8388609}"#,
            "8388608",
        ),
        (r#"{"maxRingSize": 8388609}"#, "8388608"),
        (
            r#"{"minRingSize": 20, "maxRingSize": 10}"#,
            "more than maxRingSize",
        ),
        (
            r#"{"minRingSize": 9000, "maxRingSize": 8000}"#,
            "more than maxRingSize",
        ),
    ] {
        let refusal = crate::chosen::refusal(NAME, config);
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }
}

#[test]
fn the_state_is_aggregated_by_the_first_rule_that_matches() {
    for (states, channel) in [
        (&[Ready, TransientFailure, TransientFailure][..], Ready),
        (&[Ready, Idle, Connecting], Ready),
        (
            &[TransientFailure, TransientFailure, Connecting],
            TransientFailure,
        ),
        (
            &[TransientFailure, TransientFailure, Idle],
            TransientFailure,
        ),
        (&[Connecting, TransientFailure, Idle], Connecting),
        (&[Connecting, Idle], Connecting),
        (&[TransientFailure, Idle], Connecting),
        (&[Idle, Idle], Idle),
        (&[TransientFailure], TransientFailure),
        (&[], TransientFailure),
    ] {
        let update = Script::new(states).update(&mut *by_user());
        assert_eq!(update.state, channel, "{states:?}");
    }
}

#[test]
fn connections_are_made_only_when_calls_need_them() {
    let (mut script, ids) = along_the_ring("alice", &[Idle; 4]);
    let mut policy = by_user();
    let update = script.update(&mut *policy);
    assert_eq!(update.state, Idle);
    assert!(update.connect.is_empty());
    assert_eq!(answer(&script, &ids, &*update.picker, 0), Connect(0));
    script.set(ids[0], Connecting);
    let update = script.update(&mut *policy);
    assert_eq!((update.state, update.connect.len()), (Connecting, 0));
    script.set(ids[0], Ready);
    let update = script.update(&mut *policy);
    assert_eq!((update.state, update.connect.len()), (Ready, 0));
    assert_eq!(answer(&script, &ids, &*update.picker, 0), To(0));
}

#[test]
fn one_idle_child_is_connected_while_the_aggregate_is_failing_or_connecting_and_none_is() {
    // A61: on every update, so that the channel recovers though no call comes.
    for (states, connects) in [
        (&[TransientFailure, TransientFailure, Idle, Idle][..], 1),
        (&[TransientFailure, Idle, Idle], 1),
        (&[TransientFailure, Idle, Connecting], 0),
        (&[TransientFailure, TransientFailure, Idle, Connecting], 0),
        (&[Ready, TransientFailure, TransientFailure, Idle], 0),
        (&[Idle, Idle], 0),
    ] {
        let script = Script::new(states);
        let update = script.update(&mut *by_user());
        assert_eq!(update.connect.len(), connects, "{states:?}");
        for id in script.ids(&update.connect) {
            assert_eq!(states[id as usize], Idle);
        }
    }
}

#[test]
fn a_pick_walks_to_the_first_child_that_is_not_in_transient_failure() {
    for (states, expected) in [
        (&[Ready, Idle, Idle][..], To(0)),
        // READY ones elsewhere do not pre-empt the owner.
        (&[Idle, Ready, Ready], Connect(0)),
        (&[Connecting, Ready, Ready], Queue),
        (&[TransientFailure, Ready, Ready], To(1)),
        (&[TransientFailure, Idle, Ready], Connect(1)),
        (&[TransientFailure, Connecting, Ready], Queue),
        (&[TransientFailure, TransientFailure, Ready], To(2)),
        (&[TransientFailure; 3], Fail(Code::Unavailable)),
    ] {
        for user in ["alice", "bob", "carol"] {
            let (script, ids) = along_the_ring(user, states);
            let picker = script.update(&mut *by_user()).picker;
            assert_eq!(answer(&script, &ids, &*picker, 0), expected, "{states:?}");
        }
    }
}

#[test]
fn when_all_are_in_transient_failure_the_error_is_that_of_the_first_entry() {
    for user in ["alice", "bob", "carol"] {
        let (mut script, ids) = along_the_ring(user, &[TransientFailure; 4]);
        for id in 0..4 {
            script.fail(id, format!("error of {id}"));
        }
        let picker = script.update(&mut *by_user()).picker;
        let Pick::Fail(status) = script.answer(&*picker, &[], 0) else {
            panic!("it fails");
        };
        let own = format!("error of {}", ids[0]);
        assert!(status.message().contains(&own), "{}", status.message());
    }
}
