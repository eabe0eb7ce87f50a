//! gRFC A76 (ring_hash without xDS): the request's key is a header, an endpoint's key an attribute.

use std::sync::Arc;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Address, Endpoint, Pick, Picker};
use evenkeel_policy::script::Script;
use tonic::Code;

use crate::ring::Answer::{Connect, Fail, Queue, To};
use crate::ring::{NAME, along_the_ring, answer, by_user, default_ring, hash, ring, walk};

/// Endpoints whose `hash_key`s are `pod-0`, `pod-1` and so on, and the ring of the default config.
fn pods(endpoints: u64) -> (Script, Vec<(u64, u64)>) {
    let mut script = Script::new(&vec![Ready; endpoints as usize]);
    for id in 0..endpoints {
        set_key(&mut script, id, &format!("pod-{id}"));
    }
    let each = 1024_u64.div_ceil(endpoints) as usize;
    let keys: Vec<_> = (0..endpoints)
        .map(|id| (format!("pod-{id}"), each))
        .collect();
    (script, ring(&keys))
}

fn set_key(script: &mut Script, id: u64, key: &str) {
    script.describe(id, |metadata| {
        metadata.other.insert("hash_key".into(), key.into());
    });
}

/// Checks whom each of many keys belongs to.
fn assert_owners(script: &mut Script, picker: &dyn Picker, ring: &[(u64, u64)]) {
    for key in 0..200 {
        let user = format!("user-{key}");
        script.header("user", &user);
        let owner = walk(ring, hash(&user))[0];
        assert_eq!(script.pick(picker, &[], 0), owner, "{user}");
    }
}

#[test]
fn a_header_must_have_a_legal_name_that_is_not_binary() {
    for (name, reason) in [
        ("user-bin", "binary"),
        ("User-BIN", "binary"),
        ("us er", "not a header name"),
        (":path", "not a header name"),
        ("usér", "not a header name"),
    ] {
        let refusal =
            crate::chosen::refusal(NAME, &format!(r#"{{"requestHashHeader": {name:?}}}"#));
        assert!(refusal.contains(reason), "{name}: {refusal}");
    }
}

#[test]
fn the_value_of_the_header_is_the_key_of_the_request() {
    for endpoints in [1, 3, 100] {
        let mut script = Script::new(&vec![Ready; endpoints as usize]);
        // Other headers, and the name in another case, make no difference.
        script.header("x-user", "nobody");
        let config = r#"{"requestHashHeader": "User"}"#;
        let mut policy = crate::chosen::policy(NAME, config);
        let picker = script.update(&mut *policy).picker;
        assert_owners(&mut script, &*picker, &default_ring(endpoints));
    }
}

#[test]
fn several_values_are_joined_with_a_comma_before_hashing() {
    let mut script = Script::new(&[Ready; 100]);
    let picker = script.update(&mut *by_user()).picker;
    for value in [
        "alice",
        "bob",
        "a value that is longer than the thirty-two bytes of a block",
    ] {
        script.headers.append("user", value.parse().unwrap());
    }
    let joined = "alice,bob,a value that is longer than the thirty-two bytes of a block";
    let owner = walk(&default_ring(100), hash(joined))[0];
    assert_eq!(script.pick(&*picker, &[], 0), owner);
}

#[test]
fn a_request_without_a_value_goes_to_a_random_endpoint() {
    let mut script = Script::new(&[Ready; 4]);
    let picker = script.update(&mut *by_user()).picker;
    for value in [None, Some("")] {
        script.headers.clear();
        if let Some(value) = value {
            script.header("user", value);
        }
        let mut picked = [0; 4];
        let mut random = 0_u64;
        for _ in 0..4_000 {
            random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            picked[script.pick(&*picker, &[], random) as usize] += 1;
        }
        // As its share of the ring is.
        assert!(picked.iter().all(|count| *count > 700), "{picked:?}");
    }
}

#[test]
fn without_the_header_the_hash_is_random_and_the_first_ready_child_wins() {
    for (states, expected, connects) in [
        (&[Ready, Ready, Ready][..], To(0), None),
        (&[TransientFailure, Ready, Ready], To(1), None),
        // At most one IDLE on the way is connected.
        (&[Idle, Idle, Ready], To(2), Some(0)),
        (&[Ready, Idle, Idle], To(0), None),
        // None if one is CONNECTING already, wherever it is.
        (&[Idle, Ready, Connecting], To(1), None),
        (&[Connecting, Idle, Ready], To(2), None),
        // Queued if anything is connecting.
        (&[Idle, Idle, Idle], Connect(0), None),
        (&[Connecting, Idle, TransientFailure], Queue, None),
        (&[TransientFailure; 3], Fail(Code::Unavailable), None),
    ] {
        for value in [None, Some("")] {
            let (mut script, ids) = along_the_ring("alice", states);
            script.headers.clear();
            if let Some(value) = value {
                script.header("user", value);
            }
            let mut policy = by_user();
            let picker = script.update(&mut *policy).picker;
            assert_eq!(
                answer(&script, &ids, &*picker, hash("alice")),
                expected,
                "{states:?}"
            );
            let connects: Vec<u64> = connects
                .map(|place: usize| ids[place])
                .into_iter()
                .collect();
            let connected = script.update(&mut *policy).connect;
            assert_eq!(script.ids(&connected), connects, "{states:?}");
        }
    }
}

#[test]
fn a_request_with_a_random_hash_connects_no_more_while_an_attempt_is_under_way() {
    let (mut script, ids) = along_the_ring("alice", &[Idle, Idle, Ready]);
    script.headers.clear();
    let mut policy = by_user();
    let picker = script.update(&mut *policy).picker;
    assert_eq!(answer(&script, &ids, &*picker, hash("alice")), To(2));
    let connect = script.update(&mut *policy).connect;
    assert_eq!(script.ids(&connect), ids[..1], "the first on the way");
    // Told to connect, and not seen to do so yet: that counts as an attempt.
    let picker = script.update(&mut *policy).picker;
    assert_eq!(answer(&script, &ids, &*picker, hash("alice")), To(2));
    let connect = script.update(&mut *policy).connect;
    assert!(!script.ids(&connect).contains(&ids[1]), "{connect:?}");
    script.set(ids[0], Connecting);
    let picker = script.update(&mut *policy).picker;
    assert_eq!(answer(&script, &ids, &*picker, hash("alice")), To(2));
    assert!(script.update(&mut *policy).connect.is_empty());
}

#[test]
fn a_request_with_a_random_hash_gets_the_error_of_its_first_entry_when_all_fail() {
    let (mut script, ids) = along_the_ring("alice", &[TransientFailure; 3]);
    script.headers.clear();
    for id in 0..3 {
        script.fail(id, format!("error of {id}"));
    }
    let picker = script.update(&mut *by_user()).picker;
    let Pick::Fail(status) = script.answer(&*picker, &[], hash("alice")) else {
        panic!("it fails");
    };
    assert_eq!(status.code(), Code::Unavailable);
    let own = format!("error of {}", ids[0]);
    assert!(status.message().contains(&own), "{}", status.message());
}

#[test]
fn without_a_header_in_the_config_the_pick_fails() {
    for config in ["{}", r#"{"requestHashHeader": ""}"#] {
        let mut script = Script::new(&[Ready]);
        script.header("user", "alice");
        let picker = script
            .update(&mut *crate::chosen::policy(NAME, config))
            .picker;
        assert_eq!(answer(&script, &[0], &*picker, 0), Fail(Code::Internal));
    }
}

#[test]
fn the_hash_key_attribute_takes_the_place_of_the_address() {
    let (mut script, ring) = pods(10);
    let picker = script.update(&mut *by_user()).picker;
    assert_owners(&mut script, &*picker, &ring);
}

#[test]
fn an_empty_hash_key_is_none() {
    let mut script = Script::new(&[Ready; 10]);
    for id in 0..10 {
        set_key(&mut script, id, "");
    }
    let picker = script.update(&mut *by_user()).picker;
    assert_owners(&mut script, &*picker, &default_ring(10));
}

#[test]
fn an_endpoint_moves_when_its_hash_key_changes() {
    let (mut script, ring) = pods(10);
    let mut policy = by_user();
    // Placed by their addresses first.
    let keys: Vec<_> = script
        .endpoints
        .iter()
        .map(|one| one.endpoint.clone())
        .collect();
    for one in &mut script.endpoints {
        let address = one.endpoint.addresses()[0].clone();
        one.endpoint = Arc::new(Endpoint::new(address));
    }
    let picker = script.update(&mut *policy).picker;
    assert_owners(&mut script, &*picker, &default_ring(10));
    for (one, keyed) in script.endpoints.iter_mut().zip(keys) {
        one.endpoint = keyed;
    }
    let picker = script.update(&mut *policy).picker;
    assert_owners(&mut script, &*picker, &ring);
}

#[test]
fn an_endpoint_keeps_its_place_with_its_hash_key_whatever_its_address() {
    let (mut script, ring) = pods(10);
    let mut policy = by_user();
    script.update(&mut *policy);
    // As a stateful set has it that was restarted.
    for (id, one) in (0..).zip(&mut script.endpoints) {
        let address = Address::Ip(([10, 9, 9, id], 443).into());
        let metadata = one.endpoint.metadata().clone();
        one.endpoint = Arc::new(Endpoint::new(address).with_metadata(metadata));
    }
    let picker = script.update(&mut *policy).picker;
    assert_owners(&mut script, &*picker, &ring);
}
