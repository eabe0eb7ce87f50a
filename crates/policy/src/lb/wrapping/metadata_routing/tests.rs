mod children;

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
