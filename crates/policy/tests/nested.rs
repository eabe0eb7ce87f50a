//! Wrappers within wrappers: what the innermost child picks is one place of the whole view.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{BuildPolicy, Pick};
use evenkeel_policy::lb::{
    Levels, MetadataKey, MetadataRoutingBuilder, MetadataRoutingConfig, PriorityBuilder,
    PriorityConfig, RandomSubsettingConfig, RoundRobin, Route, Selector,
};
use evenkeel_policy::script::Script;
use proptest::prelude::*;

const HEADER: &str = "version";

/// Three endpoints of four of those of a zone, of those of the version that the call asks for.
fn routed_by_version() -> MetadataRoutingBuilder {
    let mut child: Arc<dyn BuildPolicy> = Arc::new(RoundRobin::new);
    for size in [3, 4] {
        child = Arc::new(RandomSubsettingConfig::new(size, child));
    }
    let zone = |name| Selector::default().and(MetadataKey::Zone, name);
    let levels = Levels::first_of(vec![zone("a"), zone("b")]);
    let levels = PriorityBuilder::new(PriorityConfig::default(), levels, child);
    let mut config = MetadataRoutingConfig::default();
    config.routes = vec![Route::named(HEADER, "version").expect("it is a header")];
    MetadataRoutingBuilder::new(config, Arc::default(), Arc::new(levels)).expect("one route is few")
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![
        4 => Just(Ready),
        1 => Just(Idle),
        1 => Just(Connecting),
        1 => Just(TransientFailure),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Comes { zone: u8, version: u8 },
    Goes,
    Is(ConnectivityState),
    HeldBack,
    Shuffled,
    Passes(u64),
}

fn any_event() -> impl Strategy<Value = (u64, Event)> {
    let event = prop_oneof![
        3 => (0..3_u8, 0..3_u8).prop_map(|(zone, version)| Event::Comes { zone, version }),
        1 => Just(Event::Goes),
        4 => any_state().prop_map(Event::Is),
        1 => Just(Event::HeldBack),
        1 => Just(Event::Shuffled),
        1 => (0..20_000_u64).prop_map(Event::Passes),
    ];
    (0..24_u64, event)
}

fn happen(script: &mut Script, id: u64, event: Event) {
    let is_there = script.endpoints.iter().any(|one| one.id.0 == id);
    match event {
        Event::Comes { zone, version } => {
            if !is_there {
                script.add(id, Ready);
            }
            script.describe(id, |metadata| {
                metadata.zone = Some(["a", "b", "c"][usize::from(zone)].to_owned());
                metadata.version = Some(version.to_string());
            });
        }
        Event::Goes => script.remove(id),
        Event::Is(state) if is_there => script.set(id, state),
        Event::HeldBack if is_there => script.hold_back(id, "breaker open"),
        Event::Is(_) | Event::HeldBack => {}
        Event::Shuffled => script.endpoints.reverse(),
        Event::Passes(millis) => script.advance(Duration::from_millis(millis)),
    }
}

proptest! {
    #[test]
    fn whoever_is_picked_can_take_the_call_and_is_what_it_asks_for(
        start in proptest::collection::vec((0..3_u8, 0..3_u8), 12..24),
        events in proptest::collection::vec(any_event(), 1..40),
        seed: u64,
    ) {
        let mut script = Script::new(&[]);
        script.random = seed;
        for (id, (zone, version)) in (0..).zip(start) {
            happen(&mut script, id, Event::Comes { zone, version });
        }
        let mut policy = routed_by_version().build();
        for (id, event) in events {
            happen(&mut script, id, event);
            let update = script.update(&mut *policy);
            let places = update.connect.iter().chain(&update.disconnect);
            let ejected = update.ejected.iter().map(|(place, _)| place);
            prop_assert!(places.chain(ejected).all(|place| place.0 < script.endpoints.len()));
            for version in ["0", "1", "2"] {
                script.header(HEADER, version);
                for random in 0..6 {
                    let picked = match script.answer(&*update.picker, &[], random) {
                        Pick::Endpoint(place) => &script.endpoints[place.0],
                        Pick::Connect(place) => {
                            prop_assert!(place.0 < script.endpoints.len());
                            continue;
                        }
                        _ => continue,
                    };
                    prop_assert!(picked.state == Ready || picked.held_back, "{picked:?}");
                    let its = picked.endpoint.metadata().version.as_deref();
                    prop_assert_eq!(its, Some(version));
                }
            }
        }
    }
}
