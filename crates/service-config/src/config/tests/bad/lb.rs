//! `loadBalancingConfig` and `loadBalancingPolicy`.

use super::refused;

#[test]
fn each_entry_names_one_policy_and_its_config_is_checked() {
    refused(&[
        (
            r#"{"loadBalancingConfig": {}}"#,
            "$.loadBalancingConfig",
            "not a list",
        ),
        (
            r#"{"loadBalancingConfig": []}"#,
            "$.loadBalancingConfig",
            "no policy that is known",
        ),
        (
            r#"{"loadBalancingConfig": ["round_robin"]}"#,
            "$.loadBalancingConfig[0]",
            "not an object",
        ),
        (
            r#"{"loadBalancingConfig": [{}]}"#,
            "$.loadBalancingConfig[0]",
            "this one has 0",
        ),
        (
            r#"{"loadBalancingConfig": [{"round_robin": {}, "pick_first": {}}]}"#,
            "$.loadBalancingConfig[0]",
            "this one has 2",
        ),
        (
            r#"{"loadBalancingConfig": [{"xds": {}}, {}, {"round_robin": {}}]}"#,
            "$.loadBalancingConfig[1]",
            "this one has 0",
        ),
        (
            r#"{"loadBalancingConfig": [{"roundrobin": {}}]}"#,
            "$.loadBalancingConfig",
            r#"did you mean "round_robin"?"#,
        ),
        (
            r#"{"loadBalancingConfig": [{"weighted_roundRobin": {}}]}"#,
            "$.loadBalancingConfig",
            r#"did you mean "weighted_round_robin"?"#,
        ),
        (
            r#"{"loadBalancingConfig": [{"round_robin": []}]}"#,
            "$.loadBalancingConfig[0].round_robin",
            "not an object",
        ),
        (
            r#"{"loadBalancingConfig": [{"round_robin": null}]}"#,
            "$.loadBalancingConfig[0].round_robin",
            "not an object",
        ),
        (
            r#"{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": 1}}, {"round_robin": {}}]}"#,
            "$.loadBalancingConfig[0].pick_first.shuffleAddressList",
            "1 is not true or false",
        ),
        (
            r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": 1}}]}"#,
            "$.loadBalancingConfig[0].least_request.choiceCount",
            "at least 2",
        ),
        (
            r#"{"loadBalancingPolicy": 1}"#,
            "$.loadBalancingPolicy",
            "not a text",
        ),
        (
            r#"{"loadBalancingPolicy": "ROUNDROBIN"}"#,
            "$.loadBalancingPolicy",
            r#"did you mean "round_robin"?"#,
        ),
        (
            r#"{"loadBalancingConfig": "round_robin"}"#,
            "$.loadBalancingConfig",
            "not a list; put it in [ ]",
        ),
        (
            r#"{"loadBalancingConfig": [null]}"#,
            "$.loadBalancingConfig[0]",
            "not an object",
        ),
        (
            r#"{"loadBalancingConfig": [{"xds": {}}, {"grpclb": {}}]}"#,
            "$.loadBalancingConfig",
            "no policy that is known",
        ),
        (
            r#"{"loadBalancingConfig": [{"ROUND_ROBIN": 1}]}"#,
            "$.loadBalancingConfig[0].ROUND_ROBIN",
            "not an object",
        ),
        (
            r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": 2.5}}]}"#,
            "$.loadBalancingConfig[0].least_request.choiceCount",
            "not a whole number",
        ),
        (
            r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": -3}}]}"#,
            "$.loadBalancingConfig[0].least_request.choiceCount",
            "at least 2",
        ),
        (
            r#"{"loadBalancingPolicy": ""}"#,
            "$.loadBalancingPolicy",
            "no policy of this name",
        ),
        (
            r#"{"loadBalancingPolicy": ["round_robin"]}"#,
            "$.loadBalancingPolicy",
            "not a text",
        ),
    ]);
}
