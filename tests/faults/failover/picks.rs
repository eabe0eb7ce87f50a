//! The same without a network, in every state that endpoints may be in.

use std::time::Duration;

use evenkeel::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel::ServiceConfig;
use evenkeel_core::{EndpointView, Pick, Policy};
use evenkeel_policy::script::Script;
use proptest::prelude::*;

use super::{PICK_FIRST, SUBSETTING, all};

const ENDPOINTS: u64 = 5;

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ready,
    Idle,
    Connecting,
    Fails,
    HeldBack,
    Refused,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ready),
        1 => Just(Event::Idle),
        1 => Just(Event::Connecting),
        1 => Just(Event::Fails),
        1 => Just(Event::HeldBack),
        1 => Just(Event::Refused),
    ]
}

fn happen(script: &mut Script, id: u64, event: Event) {
    match event {
        Event::Ready => script.set(id, Ready),
        Event::Idle => script.set(id, Idle),
        Event::Connecting => script.set(id, Connecting),
        Event::Fails => script.fail(id, "refused"),
        Event::HeldBack => script.hold_back(id, "ejected"),
        Event::Refused => script.refuse(id, "breaker open"),
    }
}

/// Policies with a number of endpoints of their own are left out: these are their children's.
fn policies() -> Vec<(String, Box<dyn Policy>)> {
    let all = all().into_iter().map(|(policy, _)| policy);
    all.filter(|policy| !policy.contains(PICK_FIRST) && !policy.contains(SUBSETTING))
        .map(|policy| {
            let json = format!(r#"{{"loadBalancingConfig": {policy}}}"#);
            let built = ServiceConfig::parse(&json).unwrap();
            (policy, built.load_balancing().build())
        })
        .collect()
}

fn is_ready(one: &EndpointView) -> bool {
    one.state == Ready
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_tried_endpoint_is_picked_while_an_untried_one_is_ready(
        steps in proptest::collection::vec(
            (0..ENDPOINTS, any_event(), prop_oneof![3 => Just(0), 1 => 0..20_000_u64]),
            1..24,
        ),
        tried in proptest::collection::vec(0..ENDPOINTS, 1..4),
        random: u64,
    ) {
        for (name, mut policy) in policies() {
            let mut script = Script::new(&[Idle; ENDPOINTS as usize]);
            for id in 0..ENDPOINTS {
                let zone = if id < 2 { "a" } else { "b" };
                script.describe(id, |metadata| metadata.zone = Some(zone.to_owned()));
            }
            script.header("x-user", "7");
            script.header("x-zone", "a");
            for (id, event, millis) in &steps {
                happen(&mut script, *id, *event);
                script.advance(Duration::from_millis(*millis));
                let update = script.update(&mut *policy);
                let Pick::Endpoint(place) = script.answer(&*update.picker, &tried, random) else {
                    continue;
                };
                let picked = &script.endpoints[place.0];
                prop_assert!(is_ready(picked) || picked.held_back, "{}: {:?}", name, picked);
                if tried.contains(&picked.id.0) {
                    let mut untried = script.endpoints.iter().filter(|one| {
                        is_ready(one) && !tried.contains(&one.id.0)
                    });
                    let other = untried.next();
                    prop_assert!(other.is_none(), "{}: {:?}, not {:?}", name, picked, other);
                }
            }
        }
    }
}

/// An endpoint in TRANSIENT_FAILURE is none to fail over to.
#[test]
fn what_is_not_ready_is_no_refuge() {
    for (name, mut policy) in policies() {
        let mut script = Script::new(&[Ready, TransientFailure, TransientFailure]);
        for id in 0..3 {
            script.describe(id, |metadata| metadata.zone = Some("a".to_owned()));
        }
        script.header("x-user", "7");
        script.header("x-zone", "a");
        let update = script.update(&mut *policy);
        for random in 0..20 {
            assert_eq!(script.pick(&*update.picker, &[0], random), 0, "{name}");
        }
    }
}
