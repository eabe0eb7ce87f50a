mod connecting;

use std::any::Any;

use evenkeel_core::{ConnectivityState, Pick};
use proptest::prelude::*;

use super::*;
use crate::lb::{
    BuildWrapper, HashOn, MetadataKey, PanicThreshold, PanicThresholdConfig, PickFirst,
    RingHashConfig, RoundRobin,
};
use crate::script::Script;

/// Three levels: endpoints `10..` are in the second, `20..` in the third, `30..` in none.
struct Scene {
    script: Script,
    policy: Box<dyn Policy>,
}

fn levels() -> Levels {
    let level = |name| Selector::default().and(MetadataKey::Zone, name);
    Levels::first_of(vec![level("0"), level("1"), level("2")])
}

fn builder(config: PriorityConfig) -> PriorityBuilder {
    PriorityBuilder::new(config, levels(), Arc::new(RoundRobin::new))
}

fn lazy() -> PriorityConfig {
    PriorityConfig {
        warm: false,
        ..PriorityConfig::default()
    }
}

impl Scene {
    fn new(config: PriorityConfig, endpoints: &[(u64, ConnectivityState)]) -> Self {
        let mut scene = Self {
            script: Script::new(&[]),
            policy: builder(config).build(),
        };
        for (id, state) in endpoints {
            scene.add(*id, *state);
        }
        scene
    }

    fn add(&mut self, id: u64, state: ConnectivityState) {
        self.script.add(id, state);
        let zone = (id / 10).to_string();
        self.script
            .describe(id, |metadata| metadata.zone = Some(zone));
    }

    fn update(&mut self) -> Update {
        self.script.update(&mut *self.policy)
    }

    fn wanted(&mut self) -> (Vec<u64>, Vec<u64>) {
        let update = self.update();
        let sorted = |places: &[_]| {
            let mut ids = self.script.ids(places);
            ids.sort_unstable();
            ids
        };
        (sorted(&update.connect), sorted(&update.disconnect))
    }

    /// Who gets calls, sorted.
    fn served(&mut self) -> Vec<u64> {
        let update = self.update();
        assert_eq!(update.state, Ready);
        let mut ids = self.script.picks(&*update.picker, 200);
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

const LATER: Duration = Duration::from_secs(11);

#[test]
fn the_first_level_that_can_takes_all_calls() {
    use TransientFailure as Fail;
    for (endpoints, served) in [
        (&[(0, Ready), (1, Ready), (10, Ready)][..], &[0, 1][..]),
        (&[(0, Ready), (1, Fail), (10, Ready)], &[0]),
        (
            &[(0, Fail), (10, Ready), (11, Ready), (20, Ready)],
            &[10, 11],
        ),
        (&[(0, Fail), (10, Fail), (20, Ready)], &[20]),
        (&[(10, Ready), (20, Ready)], &[10]),
        (&[(20, Ready), (30, Ready)], &[20]),
    ] {
        for config in [PriorityConfig::default(), lazy()] {
            let mut scene = Scene::new(config, endpoints);
            assert_eq!(scene.served(), served, "{endpoints:?}");
        }
    }
}

#[test]
fn without_a_ready_level_the_first_that_does_not_fail_says_what_the_channel_is() {
    use TransientFailure as Fail;
    for (endpoints, state) in [
        (&[(0, Connecting), (10, Fail)][..], Connecting),
        (&[(0, Fail), (10, Idle)], Connecting),
        (&[(0, Fail), (10, Fail)], Fail),
        (&[(30, Ready)], Fail),
        (&[], Fail),
    ] {
        let mut scene = Scene::new(PriorityConfig::default(), endpoints);
        assert_eq!(scene.update().state, state, "{endpoints:?}");
    }
}

#[test]
fn the_failure_says_what_is_wrong_with_each_endpoint() {
    let mut scene = Scene::new(PriorityConfig::default(), &[(0, Idle), (20, Idle)]);
    scene.script.fail(0, "refused");
    scene.script.fail(20, "no route");
    let update = scene.update();
    let Pick::Fail(status) = scene.script.answer(&*update.picker, &[], 0) else {
        panic!("{update:?}");
    };
    assert!(status.message().contains("refused") && status.message().contains("no route"));
    let mut scene = Scene::new(PriorityConfig::default(), &[(30, Idle), (31, Idle)]);
    let update = scene.update();
    let Pick::Fail(status) = scene.script.answer(&*update.picker, &[], 0) else {
        panic!("{update:?}");
    };
    assert_eq!(
        status.message(),
        "none of 2 endpoints is in a level that calls may go to"
    );
}

#[test]
fn a_level_with_too_few_ready_endpoints_shares_with_the_next() {
    use TransientFailure as Fail;
    // (least percentage, states of the first level, states of the second, calls of the first in 7 000)
    for (percent, first, second, expected) in [
        (70, [Ready; 10], [Ready; 2], 7_000),
        (
            50,
            [
                Fail, Fail, Fail, Fail, Fail, Ready, Ready, Ready, Ready, Ready,
            ],
            [Ready; 2],
            7_000,
        ),
        (
            70,
            [
                Fail, Fail, Fail, Fail, Fail, Ready, Ready, Ready, Ready, Ready,
            ],
            [Ready; 2],
            5_000,
        ),
        (
            100,
            [
                Fail, Fail, Fail, Fail, Fail, Ready, Ready, Ready, Ready, Ready,
            ],
            [Ready; 2],
            3_500,
        ),
        (
            70,
            [
                Fail, Fail, Fail, Fail, Fail, Ready, Ready, Ready, Ready, Ready,
            ],
            [Fail; 2],
            7_000,
        ),
        // 1/7 and 1/2: shared in this proportion.
        (
            100,
            [Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Ready],
            [Ready, Fail],
            1_167,
        ),
        (
            0,
            [Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Ready],
            [Ready; 2],
            7_000,
        ),
        (
            1,
            [Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Fail, Ready],
            [Ready; 2],
            7_000,
        ),
    ] {
        let mut scene = Scene::new(
            PriorityConfig {
                min_healthy_percent: percent,
                ..PriorityConfig::default()
            },
            &[],
        );
        for (id, state) in first.iter().enumerate() {
            scene.add(id as u64, *state);
        }
        for (id, state) in second.iter().enumerate() {
            scene.add(10 + id as u64, *state);
        }
        let update = scene.update();
        let picks = scene.script.picks(&*update.picker, 7_000);
        let first_level = picks.iter().filter(|id| **id < 10).count();
        assert!(
            first_level.abs_diff(expected) < 200,
            "{percent} {first:?} {second:?}: {first_level}"
        );
    }
}

#[test]
fn what_is_held_back_is_the_last_resort_of_all_levels() {
    let mut scene = Scene::new(PriorityConfig::default(), &[(0, Ready), (10, Ready)]);
    scene.script.hold_back(0, "breaker open");
    let update = scene.update();
    assert!(!update.last_resort);
    assert_eq!(scene.served(), [10]);
    scene.script.fail(10, "refused");
    let update = scene.update();
    assert!(update.last_resort);
    assert_eq!(scene.served(), [0]);
}

#[test]
fn a_level_in_panic_takes_the_calls_that_its_ready_endpoints_can() {
    let panics: Arc<dyn BuildPolicy> = Arc::new(BuildWrapper::<PanicThreshold>::new(
        PanicThresholdConfig::default(),
        Arc::new(RoundRobin::new),
    ));
    let config = PriorityConfig {
        min_healthy_percent: 100,
        ..PriorityConfig::default()
    };
    for (config, expected) in [(PriorityConfig::default(), 300), (config, 100)] {
        let endpoints = [(0, Ready), (1, Ready), (2, Ready), (10, Ready)];
        let mut scene = Scene::new(config, &endpoints);
        scene.policy = PriorityBuilder::new(config, levels(), panics.clone()).build();
        scene.script.hold_back(1, "breaker open");
        scene.script.hold_back(2, "breaker open");
        let update = scene.update();
        assert!(update.last_resort);
        let picks = scene.script.picks(&*update.picker, 300);
        let first: Vec<_> = picks.into_iter().filter(|id| *id < 10).collect();
        assert!(first.len().abs_diff(expected) < 30, "{}", first.len());
        assert!([0, 1, 2].iter().all(|id| first.contains(id)));
    }
}

#[test]
fn what_the_levels_own_child_ejects_makes_it_less_healthy() {
    /// A round_robin that has ejected every endpoint below 5, some of them twice.
    struct Ejects;
    impl Policy for Ejects {
        fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
            let mut update = RoundRobin::new().update(now, view);
            let error: Arc<dyn std::error::Error + Send + Sync> =
                Arc::new(std::io::Error::other("slow"));
            let ejected = || view.indexed().filter(|(_, one)| one.id.0 < 5);
            let ejected = ejected().chain(ejected().take(1));
            update.ejected = ejected.map(|(index, _)| (index, error.clone())).collect();
            update
        }
    }
    let config = PriorityConfig {
        min_healthy_percent: 100,
        ..PriorityConfig::default()
    };
    let ejects = PriorityBuilder::new(config, levels(), Arc::new(|| Ejects));
    let mut scene = Scene::new(config, &[(10, Ready)]);
    scene.policy = ejects.build();
    for id in 0..10 {
        scene.add(id, Ready);
    }
    let update = scene.update();
    let picks = scene.script.picks(&*update.picker, 1_000);
    let first = picks.iter().filter(|id| **id < 10).count();
    assert!(first.abs_diff(500) < 60, "{first}");
    // All of the level: it serves as long as no other does.
    for id in 5..10 {
        scene.script.remove(id);
    }
    assert_eq!(scene.served(), [10]);
    scene.script.remove(10);
    assert_eq!(scene.served(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_retry_leaves_a_level_that_it_has_tried_all_of() {
    let mut scene = Scene::new(
        PriorityConfig::default(),
        &[(0, Ready), (1, Ready), (10, Ready), (20, Ready)],
    );
    let picker = scene.update().picker;
    for random in 0..20 {
        let pick = |tried: &[u64]| scene.script.pick(&*picker, tried, random);
        assert_eq!(pick(&[0]), 1);
        assert_eq!(pick(&[0, 1]), 10);
        assert_eq!(pick(&[0, 1, 10]), 20);
        assert!(pick(&[0, 1, 10, 20]) < 10);
    }
}

#[test]
fn a_new_config_keeps_the_children() {
    let mut scene = Scene::new(
        PriorityConfig::default(),
        &[(0, Ready), (1, Ready), (10, Ready)],
    );
    let update = scene.update();
    assert_eq!(scene.script.picks(&*update.picker, 1), [0]);
    /// Leaves a round_robin as it is.
    struct Keeps;
    impl BuildPolicy for Keeps {
        fn build(&self) -> Box<dyn Policy> {
            Box::new(RoundRobin::new())
        }

        fn reconfigure(&self, running: &mut dyn Any) -> bool {
            running.is::<RoundRobin>()
        }
    }
    let zone = |name: &str| Selector::default().and(MetadataKey::Zone, name);
    let fewer = Levels::first_of(vec![zone("0")]);
    let new = PriorityBuilder::new(lazy(), fewer, Arc::new(Keeps));
    let running: &mut dyn Any = &mut *scene.policy;
    assert!(new.reconfigure(running));
    let update = scene.update();
    assert_eq!(
        scene.script.picks(&*update.picker, 2),
        [1, 0],
        "its turn goes on"
    );
    assert_eq!(
        scene.script.ids(&update.disconnect),
        [10],
        "in no level now"
    );
    assert!(!new.reconfigure(&mut RoundRobin::new()));
    // More levels again.
    let running: &mut dyn Any = &mut *scene.policy;
    assert!(builder(PriorityConfig::default()).reconfigure(running));
    scene.script.fail(0, "refused");
    scene.script.fail(1, "refused");
    assert_eq!(scene.served(), [10]);
}

#[test]
fn picking_allocates_nothing() {
    let config = PriorityConfig {
        min_healthy_percent: 100,
        ..PriorityConfig::default()
    };
    let endpoints = [(0, Ready), (1, TransientFailure), (10, Ready), (20, Ready)];
    let mut scene = Scene::new(config, &endpoints);
    let picker = scene.update().picker;
    let allocations = allocation_counter::measure(|| {
        for random in 0..100 {
            let args = evenkeel_core::PickArgs::new("/s/m", &scene.script.headers, random);
            assert!(matches!(picker.pick(&args), Pick::Endpoint(_)));
        }
    });
    assert_eq!(allocations.count_total, 0);
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
    fn whoever_is_ready_gets_calls_and_retries_avoid_who_was_tried(
        steps in proptest::collection::vec((0_u64..40, any_state(), 0..4_u8, 0_u64..20), 1..40),
        tried in proptest::collection::vec(0_u64..40, 0..6),
        percent in 0_u32..=100,
        warm: bool,
        random: u64,
    ) {
        let config = PriorityConfig { min_healthy_percent: percent, warm, ..PriorityConfig::default() };
        let mut scene = Scene::new(config, &[]);
        for (id, state, action, seconds) in steps {
            let known = scene.script.endpoints.iter().any(|one| one.id.0 == id);
            match (known, action) {
                (false, _) => scene.add(id, state),
                (true, 0) => scene.script.remove(id),
                (true, 1) => scene.script.hold_back(id, "breaker open"),
                (true, _) => scene.script.set(id, state),
            }
            scene.script.advance(Duration::from_secs(seconds));
            let update = scene.update();
            let endpoints = scene.script.endpoints.clone();
            for place in update.connect.iter().chain(&update.disconnect) {
                prop_assert!(place.0 < endpoints.len());
            }
            let ready = |id: u64| id < 30 && endpoints.iter().any(|one| one.id.0 == id && one.state == Ready);
            if update.state == Ready {
                let picked = scene.script.pick(&*update.picker, &tried, random);
                prop_assert!(picked < 30);
                if warm && !update.last_resort && tried.contains(&picked) {
                    prop_assert!(!(0..30).any(|id| ready(id) && !tried.contains(&id)));
                }
                prop_assert_eq!(update.last_resort, !ready(picked));
            } else {
                scene.script.advance(LATER);
                let update = scene.update();
                if warm && (0..30).any(ready) {
                    prop_assert_eq!(update.state, Ready);
                }
            }
        }
    }
}
