//! What the subsets and their child policies do.

use super::*;

#[test]
fn at_first_calls_wait_for_what_they_asked_for_and_later_they_fall_back() {
    let endpoints = [("v1", "", Ready), ("v2", "", Connecting)];
    let mut config = by_version();
    config.routes[0].fallbacks = texts(&["v1"]);
    let delay = config.failover_delay;
    let mut scene = Scene::new(config, &endpoints);
    scene.ask("v2", "");
    let update = scene.update();
    assert_eq!(update.state, Ready);
    assert!(matches!(
        scene.script.answer(&*update.picker, &[], 0),
        Pick::Queue
    ));
    assert_eq!(update.wake_at, Some(scene.script.now() + delay));
    assert_eq!(scene.served("v1", ""), [0], "others do not wait");
    scene.script.advance(delay);
    assert_eq!(scene.served("v2", ""), [0]);
    assert_eq!(scene.update().wake_at, None);
    scene.script.set(1, Ready);
    assert_eq!(scene.served("v2", ""), [1]);
}

#[test]
fn a_call_waits_while_a_match_connects_and_nothing_else_will_do() {
    let mut scene = Scene::new(by_version(), &[("v1", "", Ready), ("v2", "", Connecting)]);
    scene.ask("v2", "");
    scene.update();
    scene.script.advance(Duration::from_secs(60));
    let update = scene.update();
    assert!(matches!(
        scene.script.answer(&*update.picker, &[], 0),
        Pick::Queue
    ));
    assert_eq!(scene.counts(), (0, 0, 0));
}

/// Connects the first endpoint when a call wants it.
#[derive(Debug)]
struct OnDemand;

impl Policy for OnDemand {
    fn update(&mut self, _: Instant, _: &View<'_>) -> Update {
        Update::new(Idle, Arc::new(Self))
    }
}

impl evenkeel_core::Picker for OnDemand {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Connect(EndpointIndex(0))
    }
}

#[test]
fn a_child_that_connects_on_demand_is_asked_whom() {
    let endpoints = [("v1", "", Idle), ("v2", "", Idle)];
    let mut scene = Scene::with_child(by_version(), &endpoints, Arc::new(|| OnDemand));
    scene.ask("v2", "");
    for _ in 0..2 {
        let update = scene.update();
        assert_eq!(update.state, Idle);
        match scene.script.answer(&*update.picker, &[], 0) {
            Pick::Connect(index) => assert_eq!(index.0, 1),
            other => panic!("{other:?}"),
        }
        scene.script.advance(Duration::from_secs(60));
    }
}

#[test]
fn the_channel_is_in_the_best_state_of_any_subset() {
    use TransientFailure as Fail;
    for (states, expected) in [
        ([Ready, Fail], Ready),
        ([Fail, Connecting], Connecting),
        ([Fail, Idle], Connecting),
        ([Fail, Fail], Fail),
    ] {
        let endpoints = [("v1", "", states[0]), ("v2", "", states[1])];
        let mut scene = Scene::new(by_version(), &endpoints);
        assert_eq!(scene.update().state, expected, "{states:?}");
    }
    assert_eq!(Scene::new(by_version(), &[]).update().state, Fail);
}

#[test]
fn what_is_held_back_serves_those_who_may_go_nowhere_else() {
    let endpoints = [
        ("v1", "", Ready),
        ("v1", "", Ready),
        ("v2", "", Ready),
        ("v2", "", Ready),
    ];
    let mut scene = Scene::new(by_version(), &endpoints);
    assert!(!scene.update().last_resort);
    for id in [0, 1] {
        scene.script.hold_back(id, "ejected");
    }
    assert!(scene.update().last_resort);
    assert_eq!(scene.served("v1", ""), [0, 1]);
    assert_eq!(scene.served("v2", ""), [2, 3]);
    scene.script.fail(2, "refused");
    scene.script.fail(3, "refused");
    assert_eq!(scene.served("v1", ""), [0, 1]);
    scene.refusal("v2", "");
    // Who has a fallback that is READY goes there.
    let mut config = by_version();
    config.routes[0].fallbacks = texts(&["v2"]);
    let mut scene = Scene::new(config, &endpoints);
    for id in [0, 1] {
        scene.script.hold_back(id, "ejected");
    }
    assert_eq!(scene.served("v1", ""), [2, 3]);
}

#[test]
fn a_child_in_panic_serves_with_all_that_it_has() {
    let panics: Arc<dyn BuildPolicy> = Arc::new(BuildWrapper::<PanicThreshold>::new(
        PanicThresholdConfig::default(),
        Arc::new(RoundRobin::new),
    ));
    let endpoints = [
        ("v1", "", Ready),
        ("v2", "", Ready),
        ("v2", "", Ready),
        ("v2", "", Ready),
    ];
    for fallbacks in [&[][..], &["v1"]] {
        let mut config = by_version();
        config.routes[0].fallbacks = texts(fallbacks);
        let mut scene = Scene::with_child(config, &endpoints, panics.clone());
        for id in [2, 3] {
            scene.script.hold_back(id, "breaker open");
        }
        assert!(scene.update().last_resort);
        assert_eq!(scene.served("v2", ""), [1, 2, 3]);
        assert_eq!(scene.served("v1", ""), [0]);
        assert_eq!(scene.counts(), (0, 0, 0));
    }
}

#[test]
fn a_child_that_is_idle_connects_for_its_calls_though_another_one_serves() {
    let ring: Arc<dyn BuildPolicy> = Arc::new(RingHashConfig {
        hash_on: Some(HashOn::Path),
        ..RingHashConfig::default()
    });
    let fallback = || {
        let mut config = by_version();
        config.routes[0].fallbacks = texts(&["v1"]);
        config
    };
    let any = || MetadataRoutingConfig {
        on_no_match: OnNoMatch::Any,
        ..by_version()
    };
    for config in [fallback(), any()] {
        for later in [0, 60] {
            let endpoints = [("v1", "", Ready), ("v2", "", Idle)];
            let mut scene = Scene::with_child(config.clone(), &endpoints, ring.clone());
            scene.update();
            scene.script.advance(Duration::from_secs(later));
            scene.ask("v2", "");
            let update = scene.update();
            assert_eq!((update.state, update.wake_at), (Ready, None));
            match scene.script.answer(&*update.picker, &[], 0) {
                Pick::Connect(index) => assert_eq!(index.0, 1),
                other => panic!("{other:?}"),
            }
            scene.script.set(1, Connecting);
            let update = scene.update();
            match scene.script.answer(&*update.picker, &[], 0) {
                Pick::Queue => assert_eq!(later, 0, "it waits in the first seconds only"),
                Pick::Endpoint(index) => assert_eq!((index.0, later), (0, 60)),
                other => panic!("{other:?}"),
            }
            scene.script.set(1, Ready);
            assert_eq!(scene.served("v2", ""), [1]);
        }
    }
}

#[test]
fn a_fallback_that_is_idle_connects_for_retries() {
    let ring: Arc<dyn BuildPolicy> = Arc::new(RingHashConfig {
        hash_on: Some(HashOn::Path),
        ..RingHashConfig::default()
    });
    let mut config = by_version();
    config.routes[0].fallbacks = texts(&["v1"]);
    let endpoints = [("v1", "", Idle), ("v2", "", Ready)];
    let mut scene = Scene::with_child(config, &endpoints, ring);
    scene.ask("v2", "");
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[], 0), 1);
    match scene.script.answer(&*picker, &[1], 0) {
        Pick::Connect(index) => assert_eq!(index.0, 0),
        other => panic!("{other:?}"),
    }
    // It does not wait for that: the next retry finds it connected.
    scene.script.advance(Duration::from_secs(60));
    scene.script.set(0, Connecting);
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[1], 0), 1);
    scene.script.set(0, Ready);
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[1], 0), 0);
}

#[test]
fn a_retry_does_not_wait_for_a_child_that_is_idle_and_connects_nothing() {
    /// Is in no hurry.
    struct Lazy;
    impl Policy for Lazy {
        fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
            let update = RoundRobin::new().update(now, view);
            match update.state {
                Ready => update,
                _ => Update::new(Idle, Arc::new(crate::lb::QueuePicker)),
            }
        }
    }
    let mut config = by_version();
    config.routes[0].fallbacks = texts(&["v1"]);
    let endpoints = [("v1", "", Idle), ("v2", "", Ready)];
    let mut scene = Scene::with_child(config, &endpoints, Arc::new(|| Lazy));
    scene.ask("v2", "");
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[1], 0), 1);
    scene.script.set(1, Idle);
    let picker = scene.update().picker;
    let answer = scene.script.answer(&*picker, &[1], 0);
    assert!(matches!(answer, Pick::Queue), "{answer:?}");
}

#[test]
fn an_endpoint_of_several_subsets_is_ejected_once() {
    /// Ejects all it sees.
    struct Ejects;
    impl Policy for Ejects {
        fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
            let mut update = RoundRobin::new().update(now, view);
            let error: Arc<EjectedBy> = Arc::new(std::io::Error::other("slow"));
            update.ejected = view
                .indexed()
                .map(|(index, _)| (index, error.clone()))
                .collect();
            update
        }
    }
    let mut scene = Scene::with_child(config(), &ALL_READY, Arc::new(|| Ejects));
    let ejected = scene.update().ejected;
    let mut places: Vec<_> = ejected.iter().map(|(index, _)| index.0).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3]);
}

#[test]
fn a_delay_may_be_for_ever() {
    let mut config = by_version();
    config.routes[0].fallbacks = texts(&["v1"]);
    config.failover_delay = Duration::MAX;
    let mut scene = Scene::new(config, &[("v1", "", Ready), ("v2", "", Connecting)]);
    scene.ask("v2", "");
    let update = scene.update();
    assert!(matches!(
        scene.script.answer(&*update.picker, &[], 0),
        Pick::Queue
    ));
}

#[test]
fn an_endpoint_is_connected_once_and_closed_when_all_who_know_it_agree() {
    let scene = Scene::new(
        config(),
        &[("v1", "eu", Idle), ("v1", "us", Idle), ("", "", Ready)],
    );
    let mut scene = scene;
    let update = scene.update();
    assert_eq!(scene.script.ids(&update.connect), [0, 1]);
    assert_eq!(scene.script.ids(&update.disconnect), [2], "in no subset");

    // pick_first of v1 in eu needs 0, that of v1 in us needs 1, that of all v1 needs one of them.
    let endpoints = [
        ("v1", "eu", Ready),
        ("v1", "us", Ready),
        ("v1", "us", Ready),
    ];
    let mut scene = Scene::with_child(config(), &endpoints, Arc::new(PickFirst::default));
    let update = scene.update();
    assert_eq!(scene.script.ids(&update.disconnect), [2]);
    assert_eq!(scene.served("v1", "us"), [1]);
}

#[test]
fn subsets_follow_the_endpoints() {
    let mut scene = Scene::new(by_version(), &[("v1", "", Ready), ("v2", "", Ready)]);
    assert_eq!(scene.served("v2", ""), [1]);
    scene
        .script
        .describe(0, |metadata| described(metadata, "v2", ""));
    assert_eq!(scene.served("v2", ""), [0, 1]);
    assert!(
        scene
            .refusal("v1", "")
            .message()
            .ends_with(r#"there are version "v2""#)
    );
    scene.script.remove(0);
    scene.script.add(7, Ready);
    scene
        .script
        .describe(7, |metadata| described(metadata, "v3", ""));
    assert_eq!(scene.served("v2", ""), [1]);
    assert_eq!(scene.served("v3", ""), [7]);
}
