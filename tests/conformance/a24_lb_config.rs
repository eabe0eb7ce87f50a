//! gRFC A24 (the choice of the LB policy in a service config).

use evenkeel_service_config::ServiceConfig;

fn chosen(fields: &str) -> Result<String, String> {
    let config = ServiceConfig::parse(&format!("{{{fields}}}"));
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.load_balancing().name().to_owned())
}

fn from_list(list: &str) -> Result<String, String> {
    chosen(&format!(r#""loadBalancingConfig": {list}"#))
}

#[test]
fn the_first_policy_that_is_supported_is_chosen() {
    for (list, name) in [
        (
            r#"[{"round_robin": {}}, {"pick_first": {}}]"#,
            "round_robin",
        ),
        (r#"[{"pick_first": {}}, {"round_robin": {}}]"#, "pick_first"),
        (r#"[{"acme": {}}, {"round_robin": {}}]"#, "round_robin"),
        (
            r#"[{"grpclb": {}}, {"xds_experimental": {}}, {"weighted_round_robin": {}}]"#,
            "weighted_round_robin",
        ),
    ] {
        assert_eq!(from_list(list).unwrap(), name, "{list}");
    }
}

#[test]
fn configs_of_policies_that_are_not_supported_are_not_looked_into() {
    for config in ["null", "7", "[]", r#"{"childPolicy": 1}"#] {
        let list = format!(r#"[{{"acme": {config}}}, {{"round_robin": {{}}}}]"#);
        assert_eq!(from_list(&list).unwrap(), "round_robin", "{list}");
    }
}

#[test]
fn an_entry_has_exactly_one_policy() {
    for list in [
        "[{}]",
        r#"[{"round_robin": {}, "pick_first": {}}]"#,
        r#"[{"acme": {}, "round_robin": {}}]"#,
        r#"[{}, {"round_robin": {}}]"#,
    ] {
        let refusal = from_list(list).unwrap_err();
        assert!(refusal.contains("$.loadBalancingConfig[0]"), "{refusal}");
    }
}

#[test]
fn a_list_without_a_supported_policy_is_refused() {
    for list in [r#"[{"acme": {}}]"#, r#"[{"acme": {}}, {"grpclb": {}}]"#] {
        let refusal = from_list(list).unwrap_err();
        assert!(refusal.contains("acme"), "{refusal}");
    }
}

#[test]
fn a_wrong_config_of_the_chosen_policy_does_not_fall_through_to_the_next() {
    for wrong in [
        r#"{"least_request_experimental": {"choiceCount": 1}}"#,
        r#"{"ring_hash_experimental": {"minRingSize": 9, "maxRingSize": 8}}"#,
        r#"{"random_subsetting_experimental": {"subsetSize": 3}}"#,
        r#"{"outlier_detection_experimental": {}}"#,
        r#"{"weighted_round_robin": {"errorUtilizationPenalty": -1}}"#,
        r#"{"pick_first": 7}"#,
    ] {
        let list = format!(r#"[{{"acme": {{}}}}, {wrong}, {{"round_robin": {{}}}}]"#);
        let refusal = from_list(&list).unwrap_err();
        assert!(refusal.contains("$.loadBalancingConfig[1]"), "{refusal}");
    }
}

#[test]
fn entries_after_the_chosen_one_are_not_looked_into() {
    for rest in ["7", "{}", r#"{"pick_first": 7}"#] {
        let list = format!(r#"[{{"round_robin": {{}}}}, {rest}]"#);
        assert_eq!(from_list(&list).unwrap(), "round_robin", "{list}");
    }
}

#[test]
fn child_policies_are_chosen_by_the_same_rules() {
    let parent = |children: &str| {
        let list = format!(
            r#"[{{"random_subsetting_experimental": {{"subsetSize": 3, "childPolicy": {children}}}}}]"#
        );
        let config = format!(r#"{{"loadBalancingConfig": {list}}}"#);
        ServiceConfig::parse(&config).map_err(|error| error.to_string())
    };
    let config = parent(r#"[{"acme": 1}, {"round_robin": {}}, 7]"#).unwrap();
    let children = config.load_balancing().children();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].name(), "round_robin");
    for (children, place) in [
        (r#"[{"acme": {}}]"#, "childPolicy"),
        ("[{}]", "childPolicy[0]"),
        (
            r#"[{"round_robin": {}, "pick_first": {}}]"#,
            "childPolicy[0]",
        ),
        (
            r#"[{"least_request_experimental": {"choiceCount": 1}}, {"round_robin": {}}]"#,
            "childPolicy[0].least_request_experimental.choiceCount",
        ),
    ] {
        let refusal = parent(children).unwrap_err();
        assert!(refusal.contains(place), "{refusal}");
    }
}

#[test]
fn every_policy_of_grpc_goes_by_its_own_name() {
    let child = r#""childPolicy": [{"round_robin": {}}]"#;
    for (name, config) in [
        ("pick_first", "{}"),
        ("round_robin", "{}"),
        ("weighted_round_robin", "{}"),
        ("least_request_experimental", "{}"),
        (
            "ring_hash_experimental",
            r#"{"requestHashHeader": "x-user"}"#,
        ),
        ("outlier_detection_experimental", &format!("{{{child}}}")),
        (
            "random_subsetting_experimental",
            &format!(r#"{{"subsetSize": 1, {child}}}"#),
        ),
    ] {
        let list = format!(r#"[{{"{name}": {config}}}]"#);
        assert_eq!(from_list(&list).unwrap(), name);
    }
}

#[test]
fn the_deprecated_name_counts_when_there_is_no_list() {
    for (fields, name) in [
        (r#""loadBalancingPolicy": "round_robin""#, "round_robin"),
        (r#""loadBalancingPolicy": "ROUND_ROBIN""#, "round_robin"),
        (
            r#""loadBalancingPolicy": "acme", "loadBalancingConfig": [{"round_robin": {}}]"#,
            "round_robin",
        ),
    ] {
        assert_eq!(chosen(fields).unwrap(), name, "{fields}");
    }
    let refusal = chosen(r#""loadBalancingPolicy": "acme""#).unwrap_err();
    assert!(refusal.contains("$.loadBalancingPolicy"), "{refusal}");
}

#[test]
fn without_either_it_is_pick_first() {
    assert_eq!(chosen("").unwrap(), "pick_first");
}
