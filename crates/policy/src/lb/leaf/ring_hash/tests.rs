mod bounded;
mod random_key;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::error::{NoEndpoint, cause};
use evenkeel_core::{BuildPolicy, Pick, Picker, Policy};
use http::HeaderValue;
use proptest::prelude::*;
use tonic::Code;

use super::{HashOn, RingHash, RingHashConfig};
use crate::script::Script;

const HEADER: &str = "user-id";

fn config() -> RingHashConfig {
    RingHashConfig {
        hash_on: Some(HashOn::Header(HEADER.parse().unwrap())),
        ..RingHashConfig::default()
    }
}

fn policy() -> RingHash {
    RingHash::new(config())
}

/// The ids in the order in which a call with `key` comes to them on the ring.
fn walk(script: &Script, key: &str) -> Vec<u64> {
    let mut ready = Script::new(&[]);
    ready.endpoints = script.endpoints.clone();
    for one in &mut ready.endpoints {
        one.state = Ready;
    }
    ready.header(HEADER, key);
    let picker = ready.update(&mut policy()).picker;
    let mut ids = Vec::new();
    while ids.len() < ready.endpoints.len() {
        ids.push(ready.pick(&*picker, &ids, 0));
    }
    ids
}

/// Endpoints in `states` as a call comes to them on the ring.
fn along_the_ring(states: &[ConnectivityState]) -> (Script, Vec<u64>) {
    let mut script = Script::new(states);
    script.header(HEADER, "alice");
    let ids = walk(&script, "alice");
    for (id, state) in ids.iter().zip(states) {
        script.set(*id, *state);
    }
    (script, ids)
}

/// What is picked, as a text, and who is told to connect then.
fn outcome(script: &Script, policy: &mut RingHash, tried: &[u64]) -> (String, Vec<u64>) {
    let update = script.update(policy);
    let mut connected = Vec::new();
    let pick = match script.answer(&*update.picker, tried, 7) {
        Pick::Endpoint(_) => script.pick(&*update.picker, tried, 7).to_string(),
        Pick::Queue => "queue".to_owned(),
        Pick::Connect(index) => {
            connected = script.ids(&[index]);
            "queue".to_owned()
        }
        Pick::Fail(_) => "fail".to_owned(),
        Pick::Drop(_) => "drop".to_owned(),
    };
    connected.extend(script.ids(&script.update(policy).connect));
    (pick, connected)
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_channel_state_follows_a42() {
    for (states, channel) in [
        (&[][..], TransientFailure),
        (&[Ready], Ready),
        (&[Ready, TransientFailure, TransientFailure], Ready),
        (&[TransientFailure, TransientFailure], TransientFailure),
        (
            &[TransientFailure, TransientFailure, Connecting],
            TransientFailure,
        ),
        (
            &[TransientFailure, TransientFailure, Idle],
            TransientFailure,
        ),
        (&[TransientFailure, Connecting], Connecting),
        (&[Connecting, Idle], Connecting),
        (&[TransientFailure, Idle], Connecting),
        (&[Idle, Idle], Idle),
        (&[TransientFailure], TransientFailure),
        (&[Shutdown], TransientFailure),
    ] {
        let update = Script::new(states).update(&mut policy());
        assert_eq!(update.state, channel, "{states:?}");
        assert!(update.disconnect.is_empty() && update.wake_at.is_none());
    }
}

#[test]
fn one_idle_endpoint_connects_while_the_channel_is_connecting_or_failing_and_none_does() {
    for (states, connect) in [
        (&[Idle, Idle][..], &[][..]),
        (&[Ready, Idle, TransientFailure], &[]),
        (&[TransientFailure, Idle, Idle], &[1]),
        (&[TransientFailure, TransientFailure, Idle, Idle], &[2]),
        (&[TransientFailure, Connecting, Idle], &[]),
        (&[TransientFailure, TransientFailure], &[]),
    ] {
        let mut policy = policy();
        let mut script = Script::new(states);
        for _ in 0..2 {
            // Again until it is seen, and never a second one.
            let update = script.update(&mut policy);
            assert_eq!(script.ids(&update.connect), connect, "{states:?}");
        }
        for id in connect {
            script.set(*id, Connecting);
            assert!(script.update(&mut policy).connect.is_empty());
        }
    }
}

#[test]
fn a_call_goes_to_its_endpoint_waits_for_it_or_takes_the_next_one_if_that_fails() {
    for (states, pick, connect) in [
        (&[Ready, Ready, Ready][..], Ok(0), None),
        (&[Idle, Ready, Ready], Err("queue"), Some(0)),
        (&[Connecting, Ready, Ready], Err("queue"), None),
        (&[TransientFailure, Ready, Idle], Ok(1), None),
        (&[TransientFailure, Connecting, Ready], Err("queue"), None),
        (&[TransientFailure, Idle, Ready], Err("queue"), Some(1)),
        (&[TransientFailure, TransientFailure, Ready], Ok(2), None),
        (&[TransientFailure; 3], Err("fail"), None),
    ] {
        let (script, ids) = along_the_ring(states);
        let (picked, connected) = outcome(&script, &mut policy(), &[]);
        let expected = match pick {
            Ok(place) => ids[place as usize].to_string(),
            Err(other) => other.to_owned(),
        };
        assert_eq!(picked, expected, "{states:?}");
        let connect: Vec<u64> = connect.map(|place: usize| ids[place]).into_iter().collect();
        assert_eq!(connected, connect, "{states:?}");
    }
}

#[test]
fn a_retry_takes_the_next_one_on_the_ring_and_waits_for_none_that_connects() {
    for (states, tried, pick, connect) in [
        (&[Ready, Ready, Ready][..], &[0][..], Ok(1), None),
        (&[Ready, Ready, Ready], &[0, 1], Ok(2), None),
        (&[Ready, Ready, Ready], &[0, 1, 2], Ok(0), None),
        (&[Ready, TransientFailure, Ready], &[0], Ok(2), None),
        (
            &[Ready, TransientFailure, TransientFailure],
            &[0],
            Ok(0),
            None,
        ),
        (&[Ready, Idle, Ready], &[0], Err("queue"), Some(1)),
        // It waits for none while one is READY.
        (&[Ready, Connecting, Ready], &[0], Ok(2), None),
        (&[Ready, Connecting, Ready], &[0, 2], Ok(0), None),
        (&[Connecting, Ready, Ready], &[2], Ok(1), None),
        (&[Connecting, Idle, Idle], &[1], Err("queue"), None),
    ] {
        let (script, ids) = along_the_ring(states);
        let tried: Vec<u64> = tried.iter().map(|place: &usize| ids[*place]).collect();
        let (picked, connected) = outcome(&script, &mut policy(), &tried);
        let expected = match pick {
            Ok(place) => ids[place as usize].to_string(),
            Err(other) => other.to_owned(),
        };
        assert_eq!(picked, expected, "{states:?} {tried:?}");
        let connect: Vec<u64> = connect.map(|place: usize| ids[place]).into_iter().collect();
        assert_eq!(connected, connect, "{states:?} {tried:?}");
    }
}

#[test]
fn when_all_fail_the_call_gets_the_error_of_its_own_endpoint() {
    let (mut script, ids) = along_the_ring(&[TransientFailure; 3]);
    for id in 0..3 {
        script.fail(id, format!("refused by {id}"));
    }
    let picker = script.update(&mut policy()).picker;
    let Pick::Fail(status) = script.answer(&*picker, &[], 0) else {
        panic!("it fails");
    };
    assert_eq!(status.code(), Code::Unavailable);
    let own = ids[0];
    assert_eq!(
        status.message(),
        format!(
            "0 of 3 endpoints READY; this call's own is 10.0.0.{own}:80: \
             TRANSIENT_FAILURE, refused by {own}"
        )
    );
    assert_eq!(cause::<NoEndpoint>(&status).unwrap().endpoints.len(), 3);
}

#[test]
fn the_policy_is_asked_again_once_for_each_endpoint_that_calls_need() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let (mut script, ids) = along_the_ring(&[Idle, Ready]);
    // A call without a key goes to the READY one, and has the one before it connected.
    script.headers.clear();
    let random = twox_hash::XxHash64::oneshot(0, b"alice");
    let mut policy = policy();
    let view = script.view().with_waker(&waker);
    let picker = policy.update(script.now(), &view).picker;
    for _ in 0..3 {
        assert_eq!(script.pick(&*picker, &[], random), ids[1]);
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    let update = policy.update(script.now(), &view);
    assert_eq!(script.ids(&update.connect), ids[..1]);
    // It is on its way: nobody need be told again.
    assert_eq!(script.pick(&*update.picker, &[], random), ids[1]);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[test]
fn an_idle_channel_is_connecting_once_a_call_has_come() {
    let (mut script, ids) = along_the_ring(&[Idle, Idle]);
    let mut policy = policy();
    let update = script.update(&mut policy);
    assert_eq!(update.state, Idle);
    let Pick::Connect(own) = script.answer(&*update.picker, &[], 0) else {
        panic!("it is IDLE");
    };
    assert_eq!(script.ids(&[own]), ids[..1]);
    script.set(ids[0], Connecting);
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    assert!(update.connect.is_empty());

    // Connected, lost again, and not connected before the next call.
    script.set(ids[0], Ready);
    assert_eq!(script.update(&mut policy).state, Ready);
    script.set(ids[0], Idle);
    let update = script.update(&mut policy);
    assert_eq!(update.state, Idle);
    assert!(update.connect.is_empty());
}

#[test]
fn wishes_find_their_endpoint_when_the_list_has_changed() {
    let (mut script, ids) = along_the_ring(&[Idle, Idle, Ready]);
    script.headers.clear();
    let random = twox_hash::XxHash64::oneshot(0, b"alice");
    let mut policy = policy();
    let picker = script.update(&mut policy).picker;
    assert_eq!(script.pick(&*picker, &[], random), ids[2]);
    script.endpoints.rotate_left(1);
    script.add(9, Idle);
    script.endpoints.rotate_right(1);
    assert_eq!(script.ids(&script.update(&mut policy).connect), ids[..1]);
    script.remove(ids[0]);
    assert!(script.update(&mut policy).connect.is_empty());
}

#[test]
fn several_values_are_joined_with_a_comma() {
    let mut script = Script::new(&[Ready; 50]);
    let picker = script.update(&mut policy()).picker;
    script.header(HEADER, "a,bc,,d");
    let joined = script.pick(&*picker, &[], 0);
    script.headers.clear();
    for value in ["a", "bc", "", "d"] {
        script
            .headers
            .append(HEADER, HeaderValue::from_static(value));
    }
    for random in 0..10 {
        assert_eq!(script.pick(&*picker, &[], random), joined);
    }
}

#[test]
fn calls_are_keyed_by_their_method() {
    let script = Script::new(&[Ready; 10]);
    let config = RingHashConfig {
        hash_on: Some(HashOn::Path),
        ..RingHashConfig::default()
    };
    let picker = script.update(&mut RingHash::new(config)).picker;
    let picks = script.picks(&*picker, 20);
    assert!(picks.iter().all(|id| *id == picks[0]), "{picks:?}");
}

#[test]
fn without_a_header_to_hash_every_call_fails() {
    let script = Script::new(&[Ready, Idle]);
    let mut policy = RingHash::new(RingHashConfig::default());
    let picker = script.update(&mut policy).picker;
    let Pick::Fail(status) = script.answer(&*picker, &[], 0) else {
        panic!("it fails");
    };
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("requestHashHeader"), "{status}");
}

/// Who gets each of 1 000 keys.
fn owners(script: &mut Script, picker: &dyn Picker) -> Vec<u64> {
    let owner = |key: usize| {
        script.header(HEADER, &key.to_string());
        script.pick(picker, &[], 0)
    };
    (0..1_000).map(owner).collect()
}

#[test]
fn few_other_keys_move_when_an_endpoint_comes_or_goes() {
    // With one entry each none does; else the others get more entries to fill the ring.
    for (min_ring_size, most) in [(1, 0), (1024, 150)] {
        let mut script = Script::new(&[Ready; 10]);
        let mut policy = RingHash::new(RingHashConfig {
            min_ring_size,
            ..config()
        });
        let picker = script.update(&mut policy).picker;
        let before = owners(&mut script, &*picker);
        let gone = script.endpoints.remove(4);
        let picker = script.update(&mut policy).picker;
        let without = owners(&mut script, &*picker);
        let both = before.iter().zip(&without);
        let moved = both.filter(|(before, without)| **before != 4 && before != without);
        assert!(moved.count() <= most, "{min_ring_size}");
        script.endpoints.insert(7, gone);
        let picker = script.update(&mut policy).picker;
        assert_eq!(owners(&mut script, &*picker), before);
    }
}

#[test]
fn weights_are_shares_of_keys() {
    let mut script = Script::new(&[Ready; 2]);
    let mut policy = policy();
    script.update(&mut policy);
    script.weigh(1, 3.0);
    let picker = script.update(&mut policy).picker;
    let owners = owners(&mut script, &*picker);
    let heavy = owners.iter().filter(|id| **id == 1).count();
    assert!((680..820).contains(&heavy), "{heavy} of 1000");
}

#[test]
fn the_ring_is_kept_while_endpoints_keys_and_weights_are() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = policy();
    script.update(&mut policy);
    let ring = policy.layout.clone().unwrap();
    let is_kept = |policy: &RingHash| Arc::ptr_eq(policy.layout.as_ref().unwrap(), &ring);
    script.set(1, Connecting);
    script.fail(2, "refused");
    script.describe(0, |metadata| metadata.version = Some("2".into()));
    script.update(&mut policy);
    assert!(is_kept(&policy));
    let mut other = config();
    other.hash_on = Some(HashOn::Path);
    assert!(other.reconfigure(&mut policy));
    script.update(&mut policy);
    assert!(is_kept(&policy));
    other.min_ring_size = 3;
    assert!(other.reconfigure(&mut policy));
    script.update(&mut policy);
    assert!(!is_kept(&policy));
    assert!(!other.reconfigure(&mut crate::lb::RoundRobin::new()));
}

#[test]
fn held_back_endpoints_are_the_last_resort() {
    let (mut script, ids) = along_the_ring(&[TransientFailure; 3]);
    script.hold_back(ids[1], "breaker open");
    let mut policy = policy();
    let update = script.update(&mut policy);
    assert!(update.last_resort);
    assert_eq!(update.state, Ready);
    assert_eq!(script.pick(&*update.picker, &[], 0), ids[1]);
    script.set(ids[2], Idle);
    let update = script.update(&mut policy);
    assert!(!update.last_resort, "there is one that may be connected");
}

#[test]
fn configs_are_brought_within_their_bounds() {
    let bounded = |min, max, cap, factor| {
        let config = RingHashConfig {
            min_ring_size: min,
            max_ring_size: max,
            ring_size_cap: cap,
            bounded_load_factor: factor,
            ..config()
        };
        let config = RingHash::new(config).config;
        let sizes = (config.min_ring_size, config.max_ring_size);
        (sizes, config.bounded_load_factor)
    };
    assert_eq!(bounded(0, 0, 0, None), ((1, 1), None));
    assert_eq!(
        bounded(9_000, 10_000, 4096, Some(0.5)),
        ((4096, 4096), Some(1.0))
    );
    assert_eq!(bounded(10, 5, 4096, Some(f64::NAN)), ((5, 5), None));
    let most = RingHash::MAX_RING_SIZE;
    assert_eq!(bounded(1, u64::MAX, u64::MAX, None), ((1, most), None));
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
        endpoints in proptest::collection::vec((any_state(), 0_u32..5, 0.1_f64..9.0), 1..20),
        tried in proptest::collection::vec(0_u64..20, 0..6),
        key in proptest::option::of("[a-z]{0,3}"),
        factor in proptest::option::of(1.0_f64..2.0),
        random: u64,
    ) {
        let states: Vec<_> = endpoints.iter().map(|(state, ..)| *state).collect();
        let mut script = Script::new(&states);
        for (id, (_, in_flight, weight)) in (0..).zip(&endpoints) {
            script.weigh(id, *weight);
            (0..*in_flight).for_each(|_| script.find(id).stats.begin());
        }
        if let Some(key) = &key {
            script.header(HEADER, key);
        }
        let mut policy = RingHash::new(RingHashConfig { bounded_load_factor: factor, ..config() });
        for _ in 0..2 {
            let picker = script.update(&mut policy).picker;
            if let Pick::Endpoint(_) = script.answer(&*picker, &tried, random) {
                let picked = script.pick(&*picker, &tried, random);
                let untried = |id| states[id] == Ready && !tried.contains(&(id as u64));
                prop_assert!(!(tried.contains(&picked) && (0..states.len()).any(untried)));
            }
        }
    }

    #[test]
    fn a_policy_that_has_seen_much_decides_as_a_new_one(
        updates in proptest::collection::vec(
            (
                proptest::sample::subsequence((0_u64..12).collect::<Vec<_>>(), 0..12).prop_shuffle(),
                proptest::collection::vec((any_state(), 1_u32..4), 12),
            ),
            1..6,
        ),
    ) {
        let mut old = policy();
        for (ids, endpoints) in &updates {
            let mut script = Script::new(&[]);
            for id in ids {
                let (state, weight) = endpoints[*id as usize];
                script.add(*id, state);
                script.weigh(*id, f64::from(weight));
            }
            let (picker, fresh) = (script.update(&mut old).picker, script.update(&mut policy()).picker);
            for key in 0..40 {
                script.header(HEADER, &key.to_string());
                let answers = [&picker, &fresh].map(|it| match script.answer(&**it, &[], 0) {
                    Pick::Endpoint(index) => Some(index),
                    _ => None,
                });
                prop_assert_eq!(answers[0], answers[1]);
            }
        }
    }
}
