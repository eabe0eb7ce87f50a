//! Documents that are refused: where, and why.

use super::*;

const POLICY: &str = "$.methodConfig[0].retryPolicy";

/// A complete retryPolicy with one field replaced; `""` leaves it out.
fn retry_policy_with(field: &str, value: &str) -> String {
    let fields = [
        ("maxAttempts", "3"),
        ("initialBackoff", r#""0.1s""#),
        ("maxBackoff", r#""1s""#),
        ("backoffMultiplier", "2"),
        ("retryableStatusCodes", "[14]"),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, good)| (name, if name == field { value } else { good }))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:?}: {value}"))
        .collect();
    with_retry_policy(&format!("{{{}}}", fields.join(", ")))
}

#[test]
fn each_field_of_a_retry_policy_is_checked() {
    for (field, value, place, part) in [
        ("maxAttempts", "", "", "required"),
        ("maxAttempts", "null", "", "required"),
        (
            "maxAttempts",
            "1",
            "",
            "1 is not a whole number of at least 2",
        ),
        ("maxAttempts", "0", "", "at least 2"),
        ("maxAttempts", "-1", "", "at least 2"),
        ("maxAttempts", "2.5", "", "2.5 is not a whole number"),
        ("maxAttempts", "1e30", "", "not a whole number"),
        ("maxAttempts", "4294967296", "", "not a whole number"),
        (
            "maxAttempts",
            r#""three""#,
            "",
            r#""three" is not a number"#,
        ),
        ("maxAttempts", r#""1""#, "", "at least 2"),
        ("maxAttempts", "true", "", "not a number"),
        ("initialBackoff", "", "", "required"),
        (
            "initialBackoff",
            r#""100ms""#,
            "",
            r#"write seconds, for example "0.1s""#,
        ),
        ("initialBackoff", r#""0s""#, "", "more than 0"),
        ("initialBackoff", r#""-1s""#, "", "negative"),
        ("initialBackoff", "0.1", "", r#"for example "0.1s""#),
        ("maxBackoff", "", "", "required"),
        ("maxBackoff", r#""1""#, "", r#"for example "1s""#),
        ("maxBackoff", r#""0.0s""#, "", "more than 0"),
        ("backoffMultiplier", "", "", "required"),
        ("backoffMultiplier", "0", "", "not more than 0"),
        ("backoffMultiplier", "-2", "", "not more than 0"),
        ("backoffMultiplier", r#""NaN""#, "", "not a number"),
        ("backoffMultiplier", r#""inf""#, "", "not a number"),
        ("retryableStatusCodes", "", "", "required"),
        ("retryableStatusCodes", "[]", "", "no status"),
        ("retryableStatusCodes", r#"["OK"]"#, "", "no status"),
        ("retryableStatusCodes", "14", "", "not a list"),
        ("retryableStatusCodes", r#""UNAVAILABLE""#, "", "not a list"),
        (
            "retryableStatusCodes",
            r#"["UNAVAILABLE", "CANCELED"]"#,
            "[1]",
            r#"did you mean "CANCELLED"?"#,
        ),
        (
            "retryableStatusCodes",
            r#"["TIMEOUT"]"#,
            "[0]",
            "not the name of a status",
        ),
        ("retryableStatusCodes", "[17]", "[0]", "from 0 to 16"),
        ("retryableStatusCodes", "[-1]", "[0]", "from 0 to 16"),
        ("retryableStatusCodes", "[1.5]", "[0]", "from 0 to 16"),
        ("retryableStatusCodes", "[null]", "[0]", "not a number"),
    ] {
        let json = retry_policy_with(field, value);
        let error = ServiceConfig::parse(&json).unwrap_err();
        assert_eq!(
            error.path,
            format!("{POLICY}.{field}{place}"),
            "{json}: {error}"
        );
        assert!(error.reason.contains(part), "{json}: {error}");
    }
}

#[test]
fn documents_are_refused_as_a_whole_with_the_place_of_the_mistake() {
    for (json, path, part) in [
        ("", "$", "malformed JSON"),
        ("{", "$", "malformed JSON"),
        ("[]", "$", "one JSON object"),
        (r#"{"a": 1, "a": 2}"#, "$.a", "twice"),
        (
            r#"{"retryThrottling": null, "RetryThrottling": null}"#,
            "$.RetryThrottling",
            "twice",
        ),
        // LB policies
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
        // methods
        (r#"{"methodConfig": {}}"#, "$.methodConfig", "not a list"),
        (
            r#"{"methodConfig": [1]}"#,
            "$.methodConfig[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [null]}"#,
            "$.methodConfig[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": {}}]}"#,
            "$.methodConfig[0].name",
            "not a list",
        ),
        (
            r#"{"methodConfig": [{"name": ["UserService"]}]}"#,
            "$.methodConfig[0].name[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": [{"method": "GetById"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without its service",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "", "method": "GetById"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without its service",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": 1}]}]}"#,
            "$.methodConfig[0].name[0].service",
            "1 is not a text",
        ),
        (
            r#"{"methodConfig": [{"name": [{}]}, {"name": [{"service": "a"}, {"service": ""}]}]}"#,
            "$.methodConfig[1].name[1]",
            "a second entry for all services; the first is $.methodConfig[0].name[0]",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a"}]}, {"name": [{"service": "a", "method": ""}]}]}"#,
            "$.methodConfig[1].name[0]",
            "second entry for all of a",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a", "method": "m"}, {"service": "a", "method": "m"}]}]}"#,
            "$.methodConfig[0].name[1]",
            "second entry for a/m",
        ),
        (
            r#"{"methodConfig": [{"timeout": "1m"}]}"#,
            "$.methodConfig[0].timeout",
            r#""60s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": "-1s"}]}"#,
            "$.methodConfig[0].timeout",
            "negative",
        ),
        (
            r#"{"methodConfig": [{"timeout": "315576000001s"}]}"#,
            "$.methodConfig[0].timeout",
            "more than",
        ),
        (
            r#"{"methodConfig": [{"waitForReady": "true"}]}"#,
            "$.methodConfig[0].waitForReady",
            "true or false",
        ),
        (
            r#"{"methodConfig": [{"retryPolicy": []}]}"#,
            "$.methodConfig[0].retryPolicy",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"maxResponseMessageBytes": -1}]}"#,
            "$.methodConfig[0].maxResponseMessageBytes",
            "at least 0",
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 1}}]}"#,
            "$.methodConfig[0].hedgingPolicy.maxAttempts",
            "at least 2",
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "5ms"}}]}"#,
            "$.methodConfig[0].hedgingPolicy.hedgingDelay",
            r#""0.005s""#,
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": ["NOPE"]}}]}"#,
            "$.methodConfig[0].hedgingPolicy.nonFatalStatusCodes[0]",
            "name of a status",
        ),
        // the rest
        (
            r#"{"retryThrottling": 1}"#,
            "$.retryThrottling",
            "not an object",
        ),
        (
            r#"{"retryThrottling": {"tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "required",
        ),
        (
            r#"{"retryThrottling": {"max_tokens": 10, "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            r#"is "max_tokens" meant to be it?"#,
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 10}}"#,
            "$.retryThrottling.tokenRatio",
            "required",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "1 to 1000",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "1 to 1000",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 9.5, "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "1 to 1000",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": 0}}"#,
            "$.retryThrottling.tokenRatio",
            "0.001",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": 0.0009}}"#,
            "$.retryThrottling.tokenRatio",
            "0.001",
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": 1}}"#,
            "$.healthCheckConfig.serviceName",
            "not a text",
        ),
        (
            r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 1.5}}"#,
            "$.connectionScaling.maxConnectionsPerSubchannel",
            "not a whole number",
        ),
    ] {
        let error = ServiceConfig::parse(json).unwrap_err();
        assert_eq!(error.path, path, "{json}: {error}");
        assert!(error.reason.contains(part), "{json}: {error}");
    }
}

#[test]
fn both_a_retry_and_a_hedging_policy_are_refused() {
    let retry = retry_policy_with("", "");
    let both = retry.replace(
        r#""retryPolicy""#,
        r#""hedgingPolicy": {"maxAttempts": 2}, "retryPolicy""#,
    );
    let error = ServiceConfig::parse(&both).unwrap_err();
    assert_eq!(error.path, "$.methodConfig[0].hedgingPolicy");
}

#[test]
fn long_values_are_cut_in_the_reason() {
    let json = format!(
        r#"{{"methodConfig": [{{"timeout": "{}"}}]}}"#,
        "ü".repeat(500)
    );
    let error = ServiceConfig::parse(&json).unwrap_err();
    assert!(
        error.reason.len() < 300 && error.reason.contains('…'),
        "{error}"
    );
}
