use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{Address, BuildPolicy, Discovery, Endpoint, Outcome, Pick, PickArgs, Update};
use http::HeaderMap;
use proptest::prelude::*;

use super::{PickFirst, PickFirstConfig};
use crate::lb::{
    BuildWrapper, FailurePercentageEjection, OutlierDetection, OutlierDetectionConfig, SlowStart,
    SlowStartConfig,
};
use crate::script::Script;

const DELAY: Duration = Duration::from_millis(250);

fn pick(update: &Update) -> Pick {
    let headers = HeaderMap::new();
    update.picker.pick(&PickArgs::new("/s/m", &headers, 0))
}

#[test]
fn endpoints_are_dialled_in_order_each_after_the_delay() {
    let mut script = Script::new(&[Idle, Idle, Idle]);
    let mut policy = PickFirst::default();
    for (id, last) in [(0, false), (1, false), (2, true)] {
        let update = script.update(&mut policy);
        assert_eq!(update.state, Connecting);
        assert!(matches!(pick(&update), Pick::Queue));
        assert_eq!(script.ids(&update.connect), [id]);
        assert_eq!(
            update.wake_at,
            (!last).then(|| script.now() + DELAY),
            "no timer on the last"
        );
        script.set(id, Connecting);
        let update = script.update(&mut policy);
        assert!(update.connect.is_empty(), "one at a time");
        script.advance(DELAY);
    }
}

#[test]
fn a_failure_of_the_current_one_starts_the_next_at_once_another_does_not() {
    let mut script = Script::new(&[Idle, Idle, Idle, Idle]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.set(0, Connecting);
    script.advance(DELAY);
    assert_eq!(script.ids(&script.update(&mut policy).connect), [1]);
    script.set(1, Connecting);
    let until = script.update(&mut policy).wake_at;

    script.fail(0, "refused");
    let update = script.update(&mut policy);
    assert!(update.connect.is_empty());
    assert_eq!(update.wake_at, until);

    script.fail(1, "refused");
    assert_eq!(script.ids(&script.update(&mut policy).connect), [2]);
}

#[test]
fn endpoints_already_failing_or_connecting_count_as_dialled() {
    let script = Script::new(&[TransientFailure, Connecting, Idle]);
    let update = script.update(&mut PickFirst::default());
    assert!(update.connect.is_empty());
    assert_eq!(update.wake_at, Some(script.now() + DELAY));
}

#[test]
fn one_that_has_not_heard_is_told_again_on_the_same_timer() {
    let mut script = Script::new(&[Idle, Idle]);
    let mut policy = PickFirst::default();
    let until = script.update(&mut policy).wake_at;
    script.advance(DELAY / 2);
    let update = script.update(&mut policy);
    assert_eq!(
        (script.ids(&update.connect), update.wake_at),
        (vec![0], until)
    );
}

#[test]
fn the_first_ready_one_wins_and_the_others_disconnect() {
    let mut script = Script::new(&[Connecting, TransientFailure, Idle, Ready]);
    let mut policy = PickFirst::default();
    let update = script.update(&mut policy);
    assert_eq!(update.state, Ready);
    assert_eq!(script.ids(&update.disconnect), [0, 1]);
    assert_eq!(script.picks(&*update.picker, 5), [3; 5]);
    assert_eq!(
        script.pick(&*update.picker, &[3], 0),
        3,
        "there is no other"
    );

    script.set(0, Ready);
    let update = script.update(&mut policy);
    assert_eq!(
        script.picks(&*update.picker, 1),
        [3],
        "it keeps the one it has"
    );
    assert_eq!(script.ids(&update.disconnect), [0, 1]);
}

#[test]
fn transient_failure_is_reported_when_all_have_failed_and_until_one_is_ready() {
    let mut script = Script::new(&[Idle, Idle]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.fail(0, "connection refused");
    assert_eq!(script.update(&mut policy).state, Connecting);
    script.fail(1, "connection reset");
    let update = script.update(&mut policy);
    assert_eq!(update.state, TransientFailure);
    let Pick::Fail(status) = pick(&update) else {
        panic!("not a failure")
    };
    for part in [
        "10.0.0.0:80",
        "connection refused",
        "10.0.0.1:80",
        "connection reset",
    ] {
        assert!(status.message().contains(part), "{status}");
    }

    script.set(0, Connecting);
    script.set(1, Idle);
    let update = script.update(&mut policy);
    assert_eq!(update.state, TransientFailure, "sticky");
    assert_eq!(script.ids(&update.connect), [1], "keeps reconnecting");
    script.add(7, Idle);
    let update = script.update(&mut policy);
    assert_eq!(
        update.state, TransientFailure,
        "a new list changes nothing of it"
    );

    script.set(0, Ready);
    assert_eq!(script.update(&mut policy).state, Ready);
    script.set(0, Idle);
    script.call_waiting = true;
    assert_eq!(
        script.update(&mut policy).state,
        Connecting,
        "forgotten since"
    );
}

#[test]
fn a_new_endpoint_is_dialled_before_failure_is_reported_again() {
    let mut script = Script::new(&[TransientFailure]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.add(1, Idle);
    let update = script.update(&mut policy);
    assert_eq!(script.ids(&update.connect), [1]);
}

#[test]
fn after_the_connection_is_lost_nothing_is_dialled_until_a_call_waits() {
    let mut script = Script::new(&[TransientFailure, Ready]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.set(0, Idle);
    script.set(1, Idle);
    for _ in 0..2 {
        let update = script.update(&mut policy);
        assert_eq!((update.state, &update.connect[..]), (Idle, &[][..]));
        assert!(matches!(pick(&update), Pick::Queue));
        script.add(9, Idle);
    }
    script.call_waiting = true;
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    assert_eq!(script.ids(&update.connect), [0], "from the first endpoint");
}

#[test]
fn a_new_list_with_the_connected_endpoint_keeps_it() {
    let mut script = Script::new(&[Idle, Ready, Idle]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.endpoints.reverse();
    script.remove(0);
    script.add(8, Idle);
    let update = script.update(&mut policy);
    assert_eq!(update.state, Ready);
    assert!(update.connect.is_empty() && update.disconnect.is_empty());
    assert_eq!(script.picks(&*update.picker, 1), [1]);
}

#[test]
fn a_new_list_without_the_connected_endpoint_begins_a_pass() {
    let mut script = Script::new(&[Idle, Ready]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.remove(1);
    script.add(2, Idle);
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    assert_eq!(script.ids(&update.connect), [0]);
}

#[test]
fn an_ejection_does_not_cost_the_connection() {
    let mut script = Script::new(&[Ready, Idle]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.hold_back(0, "ejected");
    for _ in 0..2 {
        let update = script.update(&mut policy);
        assert_eq!((update.state, update.last_resort), (Ready, true));
        assert!(update.connect.is_empty() && update.disconnect.is_empty());
        assert_eq!(script.picks(&*update.picker, 1), [0]);
        script.add(9, Idle);
    }
    script.set(0, Ready);
    assert!(!script.update(&mut policy).last_resort);
    // A breaker that refuses does.
    script.refuse(0, "breaker open");
    script.call_waiting = true;
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    assert_eq!(script.ids(&update.connect), [1]);
    // And so does the end of the connection.
    script.set(1, Ready);
    script.update(&mut policy);
    script.hold_back(1, "ejected");
    script.update(&mut policy);
    script.fail(1, "reset");
    assert_eq!(script.update(&mut policy).state, Connecting);
}

#[test]
fn what_is_held_back_takes_calls_when_every_endpoint_has_failed() {
    let mut script = Script::new(&[Idle, Ready, Ready]);
    script.hold_back(1, "breaker open");
    script.hold_back(2, "breaker open");
    let mut policy = PickFirst::default();
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    script.fail(0, "refused");
    let update = script.update(&mut policy);
    assert_eq!((update.state, update.last_resort), (Ready, true));
    assert!(update.disconnect.is_empty(), "0 may come back");
    assert_eq!(script.picks(&*update.picker, 1), [1]);
    script.set(0, Ready);
    let update = script.update(&mut policy);
    assert!(!update.last_resort);
    assert_eq!(script.picks(&*update.picker, 1), [0]);
}

#[test]
fn deep_below_an_outlier_detection_it_keeps_its_connection() {
    let detection = OutlierDetectionConfig {
        max_ejection_percent: 100,
        failure_percentage: Some(FailurePercentageEjection {
            minimum_hosts: 1,
            request_volume: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let slow_start =
        BuildWrapper::<SlowStart>::new(SlowStartConfig::default(), Arc::new(PickFirst::default));
    let build = BuildWrapper::<OutlierDetection>::new(detection, Arc::new(slow_start));
    let mut policy = build.build();
    let mut script = Script::new(&[Ready, Idle]);
    script.update(&mut *policy);
    script.end(0, 10, Outcome::Failure(tonic::Code::Unavailable));
    script.advance(Duration::from_secs(10));
    let update = script.update(&mut *policy);
    assert_eq!(update.ejected.len(), 1);
    assert_eq!(update.state, Ready);
    assert!(update.connect.is_empty() && update.disconnect.is_empty());
    assert_eq!(script.ids(&[update.ejected[0].0]), [0]);
    match script.answer(&*update.picker, &[], 0) {
        Pick::Endpoint(index) => assert_eq!(script.ids(&[index]), [0]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_endpoints_is_a_failure_that_the_next_list_ends() {
    let mut script = Script::new(&[TransientFailure]);
    let mut policy = PickFirst::default();
    script.update(&mut policy);
    script.endpoints.clear();
    let error = std::io::Error::other("no such service");
    let view = script.view().with_discovery(Discovery::Failed(&error));
    let update = evenkeel_core::Policy::update(&mut policy, script.now(), &view);
    assert_eq!(update.state, TransientFailure);
    assert!(
        matches!(pick(&update), Pick::Fail(status) if status.message().contains("no such service"))
    );
    script.add(3, Idle);
    let update = script.update(&mut policy);
    assert_eq!(update.state, Connecting);
    assert_eq!(script.ids(&update.connect), [3]);
}

#[test]
fn a_shuffled_order_is_the_channels_own_and_survives_updates() {
    let config = PickFirstConfig {
        shuffle_address_list: true,
        ..PickFirstConfig::default()
    };
    let mut first = [0_u32; 4];
    for random in 0..4_000 {
        let mut script = Script::new(&[Idle; 4]);
        script.random = random;
        let update = script.update(&mut PickFirst::new(config));
        first[script.ids(&update.connect)[0] as usize] += 1;
    }
    assert!(
        first.iter().all(|count| (850..1_150).contains(count)),
        "{first:?}"
    );

    let mut script = Script::new(&[Idle; 4]);
    let mut policy = PickFirst::new(config);
    let before = script.update(&mut policy).connect;
    script.random = 99;
    assert_eq!(script.update(&mut policy).connect, before);
}

#[test]
fn a_shuffle_puts_each_endpoint_first_as_often_as_its_weight_says() {
    let config = PickFirstConfig {
        shuffle_address_list: true,
        ..PickFirstConfig::default()
    };
    let mut first = [0_u32; 3];
    for random in 0..6_000 {
        let mut script = Script::new(&[Idle; 3]);
        script.weigh(1, 2.0);
        script.weigh(2, 3.0);
        script.random = random * 7919;
        let update = script.update(&mut PickFirst::new(config));
        first[script.ids(&update.connect)[0] as usize] += 1;
    }
    for (count, expected) in first.iter().zip([1_000, 2_000, 3_000]) {
        assert!(count.abs_diff(expected) < 150, "{first:?}");
    }
}

#[test]
fn address_families_are_dialled_in_turn() {
    let mut script = Script::new(&[Idle; 4]);
    for (id, address) in ["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1"]
        .into_iter()
        .enumerate()
    {
        let address: Address = address.parse().unwrap();
        script.find(id as u64).endpoint = Arc::new(Endpoint::new(address));
    }
    let mut policy = PickFirst::default();
    for id in [0, 2, 1, 3] {
        assert_eq!(script.ids(&script.update(&mut policy).connect), [id]);
        script.fail(id, "refused");
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
    /// Whatever happens: READY means a READY endpoint is picked, and a pass never stands still
    /// with an endpoint undialled and no timer.
    #[test]
    fn it_picks_only_ready_endpoints_and_never_stands_still(
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0_u64..6, any_state()), 0..6), any::<bool>(), 0_u64..400),
            1..40,
        ),
        shuffle: bool,
    ) {
        let mut policy = PickFirst::new(PickFirstConfig {
            shuffle_address_list: shuffle,
            ..PickFirstConfig::default()
        });
        let mut script = Script::new(&[]);
        for (states, call_waiting, millis) in rounds {
            script.endpoints.clear();
            for (id, state) in states {
                if script.endpoints.iter().all(|one| one.id.0 != id) {
                    script.add(id, state);
                }
            }
            script.call_waiting = call_waiting;
            script.advance(Duration::from_millis(millis));
            let update = script.update(&mut policy);
            let any_ready = script.endpoints.iter().any(|one| one.state == Ready);
            prop_assert_eq!(update.state == Ready, any_ready);
            match update.state {
                Ready => drop(script.picks(&*update.picker, 2)),
                TransientFailure => prop_assert!(matches!(pick(&update), Pick::Fail(_))),
                _ => prop_assert!(matches!(pick(&update), Pick::Queue)),
            }
            let trying = script.endpoints.iter().any(|one| one.state != Idle);
            if update.state == Connecting {
                prop_assert!(trying || !update.connect.is_empty());
            }
            let undialled = script.endpoints.iter().enumerate().any(|(place, one)| {
                one.state == Idle && !update.connect.iter().any(|index| index.0 == place)
            });
            if undialled && matches!(update.state, Connecting | TransientFailure) {
                prop_assert!(update.wake_at.is_some_and(|at| at > script.now()));
            }
        }
    }
}
