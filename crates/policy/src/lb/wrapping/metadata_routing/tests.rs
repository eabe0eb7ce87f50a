use std::time::Duration;

use evenkeel_core::error::{NoEndpoint, cause};
use evenkeel_core::{Metadata, Pick, PickArgs};
use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::lb::{
    BuildWrapper, HashOn, MetadataKey, PanicThreshold, PanicThresholdConfig, PickFirst,
    RingHashConfig, RoundRobin,
};
use crate::script::Script;

fn route(header: &'static str, key: &str) -> Route {
    Route::new(HeaderName::from_static(header), MetadataKey::named(key))
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

/// By version (default v1, fallback v2) and, if possible, region (fallbacks eu, us).
fn config() -> MetadataRoutingConfig {
    let mut version = route("x-version", "version");
    version.default = Some("v1".to_owned());
    version.fallbacks = texts(&["v2"]);
    let mut region = route("x-region", "region");
    region.fallbacks = texts(&["eu", "us"]);
    region.required = false;
    MetadataRoutingConfig {
        routes: vec![version, region],
        ..MetadataRoutingConfig::default()
    }
}

fn by_version() -> MetadataRoutingConfig {
    MetadataRoutingConfig {
        routes: vec![route("x-version", "version")],
        ..MetadataRoutingConfig::default()
    }
}

struct Scene {
    script: Script,
    policy: Box<dyn Policy>,
    stats: Arc<RoutingStats>,
}

fn described(metadata: &mut Metadata, version: &str, region: &str) {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    metadata.version = said(version);
    metadata.region = said(region);
}

impl Scene {
    fn new(config: MetadataRoutingConfig, endpoints: &[(&str, &str, ConnectivityState)]) -> Self {
        Self::with_child(config, endpoints, Arc::new(RoundRobin::new))
    }

    fn with_child(
        config: MetadataRoutingConfig,
        endpoints: &[(&str, &str, ConnectivityState)],
        child: Arc<dyn BuildPolicy>,
    ) -> Self {
        let mut script = Script::new(&[]);
        for (id, (version, region, state)) in endpoints.iter().enumerate() {
            script.add(id as u64, *state);
            script.describe(id as u64, |metadata| described(metadata, version, region));
        }
        let stats = Arc::<RoutingStats>::default();
        let builder = MetadataRoutingBuilder::new(config, stats.clone(), child).unwrap();
        Self {
            script,
            policy: builder.build(),
            stats,
        }
    }

    fn update(&mut self) -> Update {
        self.script.update(&mut *self.policy)
    }

    fn ask(&mut self, version: &'static str, region: &'static str) {
        self.script.headers.clear();
        for (name, value) in [("x-version", version), ("x-region", region)] {
            if !value.is_empty() {
                self.script.header(name, value);
            }
        }
    }

    /// Who gets the calls that ask for this, sorted.
    fn served(&mut self, version: &'static str, region: &'static str) -> Vec<u64> {
        self.ask(version, region);
        let update = self.update();
        let mut ids = self.script.picks(&*update.picker, 100);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn refusal(&mut self, version: &'static str, region: &'static str) -> Status {
        self.ask(version, region);
        let update = self.update();
        match self.script.answer(&*update.picker, &[], 0) {
            Pick::Fail(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn counts(&self) -> (u64, u64, u64) {
        let stats = &self.stats;
        (stats.fallbacks(), stats.any(), stats.failures())
    }
}

const ALL_READY: [(&str, &str, ConnectivityState); 5] = [
    ("v1", "eu", Ready),
    ("v1", "us", Ready),
    ("v2", "eu", Ready),
    ("v2", "ap", Ready),
    ("", "", Ready),
];

#[test]
fn a_call_goes_to_the_endpoints_that_match_all_routes() {
    for (version, region, expected) in [
        ("v1", "eu", &[0][..]),
        ("v1", "us", &[1]),
        ("v2", "eu", &[2]),
        ("v2", "ap", &[3]),
        // No header: the default, or no filter.
        ("", "us", &[1]),
        ("v2", "", &[2, 3]),
        ("", "", &[0, 1]),
    ] {
        let mut scene = Scene::new(config(), &ALL_READY);
        assert_eq!(
            scene.served(version, region),
            expected,
            "{version} {region}"
        );
        assert_eq!(scene.counts(), (0, 0, 0));
    }
}

#[test]
fn fallbacks_are_taken_in_their_order_and_the_first_route_gives_way_last() {
    use TransientFailure as Fail;
    let down: [&[u64]; 4] = [&[], &[1], &[2], &[0, 1]];
    // (version, region, down, expected)
    for (version, region, down, expected) in [
        // Region: eu, then us, then anywhere, within v1.
        ("v1", "ap", down[0], &[0][..]),
        ("v1", "us", down[1], &[0]),
        ("v2", "us", down[0], &[2]),
        ("v2", "us", down[2], &[3]),
        // Nothing of v1 is there: v2, with the region asked for.
        ("v1", "ap", down[3], &[3]),
        ("v1", "us", down[3], &[2]),
        ("v9", "ap", down[0], &[3]),
    ] {
        let mut scene = Scene::new(config(), &ALL_READY);
        for id in down {
            scene.script.set(*id, Fail);
        }
        assert_eq!(
            scene.served(version, region),
            expected,
            "{version} {region} {down:?}"
        );
        assert_eq!(scene.counts(), (100, 0, 0));
    }
}

#[test]
fn without_a_match_a_call_fails_or_goes_anywhere() {
    let mut scene = Scene::new(by_version(), &ALL_READY);
    let status = scene.refusal("v3", "");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(
        status.message(),
        r#"no endpoint for version "v3" (x-version): there are version "v1", "v2""#
    );
    assert!(cause::<NoMatch>(&status).is_some());
    assert_eq!(scene.counts(), (0, 0, 1));

    let anywhere = MetadataRoutingConfig {
        on_no_match: OnNoMatch::Any,
        ..by_version()
    };
    let mut scene = Scene::new(anywhere, &ALL_READY);
    assert_eq!(scene.served("v3", ""), [0, 1, 2, 3, 4]);
    assert_eq!(scene.counts(), (0, 100, 0));
}

#[test]
fn a_failure_says_what_is_wrong_with_the_endpoints_that_match() {
    let mut scene = Scene::new(by_version(), &[("v1", "", Ready), ("v2", "", Ready)]);
    scene.script.fail(1, "connection refused");
    let status = scene.refusal("v2", "");
    assert_eq!(
        status.message(),
        "no endpoint for version \"v2\" (x-version): \
         0 of 1 endpoints READY: 10.0.0.1:80: TRANSIENT_FAILURE, connection refused"
    );
    assert_eq!(cause::<NoEndpoint>(&status).unwrap().endpoints.len(), 1);
}

#[test]
fn a_failure_names_a_few_values_and_cuts_a_long_one() {
    let mut scene = Scene::new(by_version(), &[]);
    for id in 0..10 {
        scene.script.add(id, Ready);
        let version = format!("v{id}");
        scene
            .script
            .describe(id, |metadata| metadata.version = Some(version));
    }
    scene.script.header("x-version", &"x".repeat(10_000));
    let update = scene.update();
    let Pick::Fail(status) = scene.script.answer(&*update.picker, &[], 0) else {
        panic!("{update:?}");
    };
    assert!(status.message().len() < 300);
    assert!(
        status.message().ends_with(r#""v7" and 2 more"#),
        "{status:?}"
    );
}

#[test]
fn a_tag_matches_whoever_has_it() {
    let mut config = by_version();
    config.routes = vec![route("x-tag", "tag")];
    let mut scene = Scene::new(config, &[("", "", Ready); 3]);
    scene.script.describe(0, |metadata| {
        metadata.tags = texts(&["gpu", "canary", "gpu"])
    });
    scene
        .script
        .describe(1, |metadata| metadata.tags = texts(&["gpu"]));
    for (tag, expected) in [("gpu", &[0, 1][..]), ("canary", &[0])] {
        scene.script.header("x-tag", tag);
        let update = scene.update();
        let mut ids = scene.script.picks(&*update.picker, 20);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids, expected);
    }
}

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
fn a_retry_goes_where_its_call_may_go_and_has_not_been() {
    let mut scene = Scene::new(config(), &ALL_READY);
    scene.ask("v1", "eu");
    let picker = scene.update().picker;
    for random in 0..20 {
        let pick = |tried: &[u64]| scene.script.pick(&*picker, tried, random);
        assert_eq!(pick(&[]), 0);
        assert_eq!(pick(&[0]), 1, "us");
        assert_eq!(pick(&[0, 1]), 2, "v2, eu");
        assert_eq!(pick(&[0, 1, 2]), 3, "v2, anywhere");
        assert_eq!(pick(&[0, 1, 2, 3]), 0, "all tried");
    }
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

#[test]
fn too_many_combinations_fail_and_say_so() {
    let mut scene = Scene::new(by_version(), &[]);
    for id in 0..MAX_SUBSETS as u64 {
        scene.script.add(id, Ready);
        let version = id.to_string();
        scene
            .script
            .describe(id, |metadata| metadata.version = Some(version));
    }
    // And that of those that say nothing, which a call without the header may go to.
    let status = scene.refusal("7", "");
    assert_eq!(
        status.message(),
        "metadata routing: the endpoints have more than 512 combinations of version"
    );
    assert_eq!(scene.update().state, TransientFailure);
    scene.script.remove(0);
    assert_eq!(scene.served("7", ""), [7]);
    // One endpoint alone may have too many as well.
    let mut config = by_version();
    config.routes = vec![route("a", "tag"), route("b", "tag")];
    let mut scene = Scene::new(config, &[("", "", Ready)]);
    scene.script.describe(0, |metadata| {
        metadata.tags = (0..100).map(|tag| tag.to_string()).collect();
    });
    assert!(
        scene
            .refusal("", "")
            .message()
            .contains("combinations of tag, tag")
    );
}

#[test]
fn routes_have_bounds() {
    let build = |routes: Vec<Route>| {
        let config = MetadataRoutingConfig {
            routes,
            ..MetadataRoutingConfig::default()
        };
        MetadataRoutingBuilder::new(config, Arc::default(), Arc::new(RoundRobin::new)).err()
    };
    let one = || route("x-version", "version");
    assert_eq!(build(vec![]), Some(BadRoutes::None));
    assert_eq!(build(vec![one(); 4]), None);
    assert_eq!(build(vec![one(); 5]), Some(BadRoutes::TooMany));
    let with = |fallbacks: usize| {
        let mut route = one();
        route.fallbacks = vec!["v1".to_owned(); fallbacks];
        route
    };
    assert_eq!(build(vec![with(255)]), None);
    assert_eq!(build(vec![with(256)]), Some(BadRoutes::TooManyFallbacks));
    assert_eq!(build(vec![with(15), with(15)]), None);
    assert_eq!(
        build(vec![with(15), with(16)]),
        Some(BadRoutes::TooManyFallbacks)
    );
}

#[test]
fn a_new_config_counts_at_once_and_keeps_the_endpoints() {
    let mut scene = Scene::new(by_version(), &ALL_READY);
    assert_eq!(scene.served("v1", ""), [0, 1]);
    for (new, expected) in [
        (
            MetadataRoutingConfig {
                on_no_match: OnNoMatch::Any,
                ..by_version()
            },
            &[0, 1][..],
        ),
        (config(), &[0]),
    ] {
        let stats = scene.stats.clone();
        let new = MetadataRoutingBuilder::new(new, stats, Arc::new(RoundRobin::new)).unwrap();
        let running: &mut dyn Any = &mut *scene.policy;
        assert!(new.reconfigure(running));
        assert_eq!(scene.served("v1", "eu"), expected);
        assert!(!new.reconfigure(&mut RoundRobin::new()));
    }
}

#[test]
fn picking_allocates_nothing_even_when_it_falls_back() {
    let mut scene = Scene::new(config(), &ALL_READY);
    for (version, region) in [("v1", "eu"), ("v9", "ap"), ("", "")] {
        scene.ask(version, region);
        let picker = scene.update().picker;
        let allocations = allocation_counter::measure(|| {
            for random in 0..100 {
                let args = PickArgs::new("/s/m", &scene.script.headers, random);
                assert!(matches!(picker.pick(&args), Pick::Endpoint(_)));
            }
        });
        assert_eq!(allocations.count_total, 0, "{version} {region}");
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

/// As slow and as plain as can be: whether `metadata` may serve a call that asks for this.
fn is_allowed(config: &MetadataRoutingConfig, asked: [&str; 2], metadata: &Metadata) -> bool {
    config.on_no_match == OnNoMatch::Any
        || config.routes.iter().zip(asked).all(|(route, asked)| {
            let asked = match asked {
                "" => route.default.as_deref(),
                asked => Some(asked),
            };
            let has = |value: &str| route.key.values(metadata).any(|one| one == value);
            !route.required
                || asked.is_none_or(|asked| has(asked) || route.fallbacks.iter().any(|it| has(it)))
        })
}

/// Whether it is just what was asked for.
fn is_match(config: &MetadataRoutingConfig, asked: [&str; 2], metadata: &Metadata) -> bool {
    config.routes.iter().zip(asked).all(|(route, asked)| {
        let asked = match asked {
            "" => route.default.as_deref(),
            asked => Some(asked),
        };
        asked.is_none_or(|asked| route.key.values(metadata).any(|one| one == asked))
    })
}

const VALUES: [&str; 4] = ["", "a", "b", "c"];

proptest! {
    #[test]
    fn whoever_is_picked_matches_or_was_allowed(
        steps in proptest::collection::vec((0_u64..12, any_state(), 0_usize..4, 0_usize..4, 0_u8..5), 1..25),
        asked in (0_usize..4, 0_usize..4),
        defaults in (0_usize..4, 0_usize..4),
        fallbacks in proptest::collection::vec(0_usize..4, 0..3),
        required: (bool, bool),
        anywhere: bool,
        tried in proptest::collection::vec(0_u64..12, 0..4),
        random: u64,
    ) {
        let mut routes = vec![route("x-version", "version"), route("x-region", "region")];
        for (route, default) in routes.iter_mut().zip([defaults.0, defaults.1]) {
            route.default = (default > 0).then(|| VALUES[default].to_owned());
            route.fallbacks = fallbacks.iter().map(|value| VALUES[*value].to_owned()).collect();
        }
        (routes[0].required, routes[1].required) = required;
        let config = MetadataRoutingConfig {
            routes,
            on_no_match: if anywhere { OnNoMatch::Any } else { OnNoMatch::Fail },
            ..MetadataRoutingConfig::default()
        };
        let asked = [VALUES[asked.0], VALUES[asked.1]];
        let mut scene = Scene::new(config.clone(), &[]);
        scene.ask(asked[0], asked[1]);
        for (id, state, version, region, action) in steps {
            let known = scene.script.endpoints.iter().any(|one| one.id.0 == id);
            match (known, action) {
                (true, 0) => scene.script.remove(id),
                (true, 1) => scene.script.hold_back(id, "breaker open"),
                (true, 2) => scene.script.set(id, state),
                (true, _) => {}
                (false, _) => scene.script.add(id, state),
            }
            if !known || action == 3 {
                let (version, region) = (VALUES[version], VALUES[region]);
                scene.script.describe(id, |metadata| described(metadata, version, region));
            }
            let update = scene.update();
            let ready = |one: &evenkeel_core::EndpointView| one.state == Ready;
            let matching = |one: &evenkeel_core::EndpointView| {
                ready(one) && is_match(&config, asked, one.endpoint.metadata())
            };
            match scene.script.answer(&*update.picker, &tried, random) {
                Pick::Endpoint(index) => {
                    let picked = &scene.script.endpoints[index.0];
                    prop_assert!(ready(picked) || (update.last_resort && picked.held_back));
                    prop_assert!(is_allowed(&config, asked, picked.endpoint.metadata()));
                    let is_tried = |one: &evenkeel_core::EndpointView| tried.contains(&one.id.0);
                    if is_tried(picked) || !matching(picked) {
                        let better = scene.script.endpoints.iter().any(|one| matching(one) && !is_tried(one));
                        prop_assert!(!better);
                    }
                }
                Pick::Fail(_) => {
                    let any = scene.script.endpoints.iter().any(|one| {
                        ready(one) && is_allowed(&config, asked, one.endpoint.metadata())
                    });
                    prop_assert!(!any);
                }
                Pick::Queue | Pick::Connect(_) => prop_assert!(!scene.script.endpoints.iter().any(matching)),
                Pick::Drop(_) => prop_assert!(false),
            }
        }
    }
}
