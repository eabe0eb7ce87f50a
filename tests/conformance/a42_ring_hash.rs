//! gRFC A42 (ring_hash), as A61 (endpoints, sticky TRANSIENT_FAILURE) and A76 (keys without xDS)
//! have changed it.

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{EndpointIndex, Pick, Picker, Policy};
use evenkeel_policy::script::Script;
use tonic::Code;
use twox_hash::XxHash64;

const NAME: &str = "ring_hash_experimental";

fn by_user() -> Box<dyn Policy> {
    crate::chosen::policy(NAME, r#"{"requestHashHeader": "user"}"#)
}

fn hash(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

/// The ring that A42 describes, of endpoints with these keys and so many entries each.
fn ring(endpoints: &[(String, usize)]) -> Vec<(u64, u64)> {
    let mut ring = Vec::new();
    for (id, (key, entries)) in (0..).zip(endpoints) {
        ring.extend((0..*entries).map(|number| (hash(&format!("{key}_{number}")), id)));
    }
    ring.sort_unstable();
    ring
}

/// The ids along the ring from a hash on, each once.
fn walk(ring: &[(u64, u64)], from: u64) -> Vec<u64> {
    let start = ring.iter().position(|(entry, _)| *entry >= from);
    let start = start.unwrap_or(0);
    let mut ids = Vec::new();
    for (_, id) in ring[start..].iter().chain(&ring[..start]) {
        if !ids.contains(id) {
            ids.push(*id);
        }
    }
    ids
}

fn address(id: u64) -> String {
    format!("10.0.0.{id}:80")
}

/// The ring of the default config: each of few endpoints has as many entries as its share of 1024,
/// rounded up.
fn default_ring(endpoints: u64) -> Vec<(u64, u64)> {
    let each = 1024_u64.div_ceil(endpoints) as usize;
    ring(
        &(0..endpoints)
            .map(|id| (address(id), each))
            .collect::<Vec<_>>(),
    )
}

/// Endpoints whose states are given in the order in which the user comes to them.
fn along_the_ring(user: &str, states: &[ConnectivityState]) -> (Script, Vec<u64>) {
    let mut script = Script::new(states);
    script.header("user", user);
    let ids = walk(&default_ring(states.len() as u64), hash(user));
    for (id, state) in ids.iter().zip(states) {
        script.set(*id, *state);
    }
    (script, ids)
}

/// What is picked, as the place along the ring.
fn answer(script: &Script, ids: &[u64], picker: &dyn Picker, random: u64) -> Answer {
    let at = |index: EndpointIndex| {
        let id = script.endpoints[index.0].id.0;
        ids.iter().position(|known| *known == id).unwrap()
    };
    match script.answer(picker, &[], random) {
        Pick::Endpoint(index) => To(at(index)),
        Pick::Queue => Queue,
        Pick::Connect(index) => Connect(at(index)),
        Pick::Fail(status) => Fail(status.code()),
        Pick::Drop(status) => panic!("{status}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    To(usize),
    Queue,
    /// Queued, and this one is told to connect.
    Connect(usize),
    Fail(Code),
}
use Answer::{Connect, Fail, Queue, To};

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
fn the_hash_key_attribute_takes_the_place_of_the_address() {
    let mut script = Script::new(&[Ready; 10]);
    let mut policy = by_user();
    script.update(&mut *policy);
    let keys: Vec<(String, usize)> = (0..10).map(|id| (format!("pod-{id}"), 103)).collect();
    for (id, (key, _)) in (0..).zip(&keys) {
        script.describe(id, |metadata| {
            metadata.other.insert("hash_key".into(), key.clone());
        });
    }
    let picker = script.update(&mut *policy).picker;
    let ring = ring(&keys);
    for key in 0..200 {
        let user = format!("user-{key}");
        script.header("user", &user);
        assert_eq!(script.pick(&*picker, &[], 0), walk(&ring, hash(&user))[0]);
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
