//! Which LB policy is chosen.

use super::*;

#[test]
fn of_the_listed_policies_the_first_known_one_counts() {
    for (list, name, warned) in [
        (r#"[{"round_robin": {}}]"#, "round_robin", 0),
        (
            r#"[{"acme": {"x": 1}}, {"round_robin": {}}, 7]"#,
            "round_robin",
            1,
        ),
        (
            r#"[{"xds": null}, {"grpclb": 1}, {"pick_first": {"shuffleAddressList": true}}]"#,
            "pick_first",
            2,
        ),
        (
            r#"[{"least_request": {"choiceCount": 3}}]"#,
            "least_request_experimental",
            0,
        ),
        (
            r#"[{"least_request_experimental": {"choiceCount": 11}}]"#,
            "least_request_experimental",
            0,
        ),
        (
            r#"[{"evenkeel.registered_weighted_round_robin": {}}]"#,
            "evenkeel.registered_weighted_round_robin",
            0,
        ),
        (r#"[{"round_robin": {"unknown": 1}}]"#, "round_robin", 1),
    ] {
        let (config, warnings) = parse(&format!(r#"{{"loadBalancingConfig": {list}}}"#));
        assert_eq!(config.load_balancing().name(), name, "{list}");
        assert_eq!(warnings.len(), warned, "{list}: {warnings:?}");
    }
}

#[test]
fn the_policy_keeps_its_config_as_it_was_written() {
    let json = r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": 3}}]}"#;
    let (config, _) = parse(json);
    assert_eq!(
        config.load_balancing().config().to_string(),
        r#"{"choiceCount":3}"#
    );
    let shown = format!("{config:?}");
    assert!(shown.contains(r#"{"choiceCount":3}"#), "{shown}");
}

#[test]
fn the_deprecated_policy_name_counts_only_without_the_list() {
    for (json, name, warned) in [
        (
            r#"{"loadBalancingPolicy": "ROUND_ROBIN"}"#,
            "round_robin",
            0,
        ),
        (
            r#"{"loadBalancingPolicy": "round_robin"}"#,
            "round_robin",
            0,
        ),
        (r#"{"loadBalancingPolicy": null}"#, "pick_first", 0),
        (
            r#"{"loadBalancingPolicy": "nonsense", "loadBalancingConfig": [{"round_robin": {}}]}"#,
            "round_robin",
            1,
        ),
        (
            r#"{"loadBalancingPolicy": "round_robin", "loadBalancingConfig": null}"#,
            "round_robin",
            0,
        ),
    ] {
        let (config, warnings) = parse(json);
        assert_eq!(config.load_balancing().name(), name, "{json}");
        assert_eq!(warnings.len(), warned, "{json}: {warnings:?}");
    }
}
