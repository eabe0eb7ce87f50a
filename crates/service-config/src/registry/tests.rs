use std::time::Instant;

use evenkeel_core::{Policy, Update, View};
use evenkeel_policy::lb::RoundRobin;

use super::*;
use crate::{LbConfig, ServiceConfig};

/// A policy around another one: what outlier detection and its kin look like.
struct Wrapper;

struct WrapperPolicy(Box<dyn Policy>);

impl Policy for WrapperPolicy {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.0.update(now, view)
    }
}

impl PolicyFactory for Wrapper {
    fn name(&self) -> &str {
        "acme.wrapper"
    }

    fn aliases(&self) -> &[&str] {
        &["acme.old_wrapper"]
    }

    fn parse(&self, config: &mut Object<'_>) -> Result<Arc<dyn BuildPolicy>, ConfigError> {
        let child = config.required("childPolicy", |field| field.child_policy())?;
        Ok(Arc::new(move || WrapperPolicy(child.build())))
    }
}

fn registry() -> PolicyRegistry {
    let mut registry = PolicyRegistry::default();
    registry.register(Wrapper);
    registry
}

#[test]
fn the_built_in_policies_are_known_by_their_names_and_aliases() {
    let names: Vec<_> = PolicyRegistry::default()
        .names()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        names,
        [
            "custom_weighted_round_robin",
            "evenkeel.fastest_response",
            "evenkeel.locality",
            "evenkeel.metadata_routing",
            "evenkeel.panic_threshold",
            "evenkeel.priority",
            "evenkeel.random",
            "evenkeel.registered_weighted_round_robin",
            "evenkeel.ring_hash",
            "evenkeel.slow_start",
            "least_request",
            "least_request_experimental",
            "outlier_detection",
            "outlier_detection_experimental",
            "pick_first",
            "random_subsetting",
            "random_subsetting_experimental",
            "ring_hash",
            "ring_hash_experimental",
            "round_robin",
            "weighted_round_robin",
        ]
    );
    assert_eq!(PolicyRegistry::empty().names().count(), 0);
}

#[test]
fn child_policies_nest_and_their_mistakes_have_a_place() {
    let json = r#"{"loadBalancingConfig": [{"acme.old_wrapper": {"childPolicy":
        [{"unknown": {}}, {"acme.wrapper": {"childPolicy": [{"round_robin": {}}]}}]}}]}"#;
    let config = ServiceConfig::parse_with(json, &registry()).unwrap();
    assert_eq!(config.load_balancing().name(), "acme.wrapper");
    assert_eq!(
        config.warnings()[0].path,
        "$.loadBalancingConfig[0][\"acme.old_wrapper\"].childPolicy[0].unknown"
    );
    let outer = config.load_balancing().children();
    let inner = outer[0].children();
    let names = [outer, inner].map(|of| of.iter().map(LbConfig::name).collect::<Vec<_>>());
    assert_eq!(names, [["acme.wrapper"], ["round_robin"]]);
    drop(config.load_balancing().build());

    for (child, place) in [
        ("", ".childPolicy"),
        (
            r#""childPolicy": [{"pick_first": {"shuffleAddressList": 0}}]"#,
            ".childPolicy[0].pick_first.shuffleAddressList",
        ),
        (r#""childPolicy": [{"a": {}}]"#, ".childPolicy"),
        (r#""childPolicy": {}"#, ".childPolicy"),
    ] {
        let json = format!(r#"{{"loadBalancingConfig": [{{"acme.wrapper": {{{child}}}}}]}}"#);
        let error = ServiceConfig::parse_with(&json, &registry()).unwrap_err();
        assert_eq!(
            error.path,
            format!("$.loadBalancingConfig[0][\"acme.wrapper\"]{place}")
        );
    }
}

#[test]
fn a_policy_that_needs_a_config_cannot_be_chosen_by_its_name_alone() {
    let json = r#"{"loadBalancingPolicy": "acme.wrapper"}"#;
    let error = ServiceConfig::parse_with(json, &registry()).unwrap_err();
    assert_eq!(error.path, "$.loadBalancingPolicy");
    assert_eq!(
        error.reason,
        "acme.wrapper needs a config, so write it in loadBalancingConfig \
         ($.loadBalancingPolicy.childPolicy: this field is required)"
    );
}

#[test]
fn the_policy_registered_last_has_the_name_and_a_clone_keeps_the_first() {
    let first = PolicyRegistry::default();
    let mut second = first.clone();
    second.register_fn(RoundRobin::NAME, |config| {
        config.required("mine", |field| field.boolean())?;
        Ok(RoundRobin::new)
    });
    let json = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
    assert!(ServiceConfig::parse_with(json, &first).is_ok());
    let error = ServiceConfig::parse_with(json, &second).unwrap_err();
    assert_eq!(error.path, "$.loadBalancingConfig[0].round_robin.mine");
}

#[test]
fn a_factory_that_reads_the_raw_object_owns_all_its_fields() {
    let mut registry = PolicyRegistry::empty();
    registry.register_fn("raw", |config| {
        let fields = config.raw();
        if fields.contains_key("bad") {
            return Err(config.error("no"));
        }
        Ok(RoundRobin::new)
    });
    let parse = |fields: &str| {
        let json = format!(r#"{{"loadBalancingConfig": [{{"raw": {{{fields}}}}}]}}"#);
        ServiceConfig::parse_with(&json, &registry)
    };
    assert!(parse(r#""anything": 1"#).unwrap().warnings().is_empty());
    assert_eq!(
        parse(r#""bad": 1"#).unwrap_err().path,
        "$.loadBalancingConfig[0].raw"
    );
}
