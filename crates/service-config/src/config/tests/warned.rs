//! What is legal, and warned of.

use super::*;

#[test]
fn attempts_above_the_cap_are_capped_with_a_warning_that_names_both() {
    let policy = |attempts| {
        with_retry_policy(&format!(
            r#"{{"maxAttempts": {attempts}, "initialBackoff": "1s", "maxBackoff": "1s",
                "backoffMultiplier": 1, "retryableStatusCodes": [14]}}"#
        ))
    };
    let (config, warnings) = parse(&policy(500));
    assert_eq!(retry_policy(&config).max_attempts, 5);
    assert_eq!(
        warnings,
        [
            "$.methodConfig[0].retryPolicy.maxAttempts: 500 attempts are more than the cap of 5, which counts"
        ]
    );
    for (cap, attempts, counts) in [
        (500, 500, 500),
        (500, 3, 3),
        (3, 4, 3),
        (0, 2, 2),
        (1, 9, 2),
    ] {
        let options = ParseOptions {
            max_attempts_cap: cap,
            ..ParseOptions::default()
        };
        let config = options.parse(&policy(attempts)).unwrap();
        assert_eq!(retry_policy(&config).max_attempts, counts);
        assert_eq!(config.warnings().is_empty(), attempts == counts);
    }
}

#[test]
fn what_has_no_effect_is_warned_of_and_refused_when_strict() {
    for (json, path, part) in [
        (
            r#"{"retryPolicy": {"maxAttempts": 4}}"#,
            "$.retryPolicy",
            "gRPC has it in an entry of $.methodConfig",
        ),
        (
            r#"{"LoadBalancingConfig": [{"round_robin": {}}]}"#,
            "$.LoadBalancingConfig",
            "taken for",
        ),
        (
            r#"{"method_config": []}"#,
            "$.method_config",
            r#"did you mean "methodConfig"?"#,
        ),
        (
            r#"{"comment": "hello"}"#,
            "$.comment",
            "unknown field, ignored",
        ),
        (
            r#"{"methodConfig": [{"timeout": "1s"}]}"#,
            "$.methodConfig[0]",
            "for no method",
        ),
        (
            r#"{"methodConfig": [{"name": []}]}"#,
            "$.methodConfig[0]",
            "for no method",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "/UserService"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without slashes",
        ),
        (
            r#"{"methodConfig": [{"name": [{"services": "UserService"}]}]}"#,
            "$.methodConfig[0].name[0].services",
            r#"did you mean "service"?"#,
        ),
        (
            r#"{"methodConfig": [{"name": [{}], "time_out": "1s"}]}"#,
            "$.methodConfig[0].time_out",
            r#"did you mean "timeout"?"#,
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": ""}}"#,
            "$.healthCheckConfig",
            "no effect: pick_first does without",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": "10", "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "in quotes",
        ),
        (
            r#"{"loadBalancingConfig": [{"acme": {}}, {"round_robin": {}}]}"#,
            "$.loadBalancingConfig[0].acme",
            "policy not known, skipped",
        ),
    ] {
        let (_, warnings) = parse(json);
        assert_eq!(warnings.len(), 1, "{json}: {warnings:?}");
        assert!(
            warnings[0].starts_with(&format!("{path}: ")),
            "{json}: {warnings:?}"
        );
        assert!(warnings[0].contains(part), "{json}: {warnings:?}");
        let error = ParseOptions::strict().parse(json).unwrap_err();
        assert_eq!(format!("{}: {}", error.path, error.reason), warnings[0]);
    }
}

#[test]
fn a_warning_is_one_line_whatever_the_document_holds() {
    let (_, warnings) = parse(
        r#"{"a\nb": 1,
            "loadBalancingConfig": [{"x\ny": {}}, {"round_robin": {"c\r\nd": 1}}],
            "methodConfig": [{"name": [{"service": "s\n"}], "timeout\n": "1s"}]}"#,
    );
    assert!(warnings.len() >= 4, "{warnings:?}");
}

#[test]
fn health_checks_that_no_policy_lets_count_are_warned_of() {
    for (policy, counts) in [
        ("{\"pick_first\": {}}", false),
        ("{\"round_robin\": {}}", true),
        (
            r#"{"outlier_detection_experimental": {"childPolicy": [{"pick_first": {}}]}}"#,
            false,
        ),
        (
            r#"{"outlier_detection_experimental": {"childPolicy": [{"ring_hash_experimental": {}}]}}"#,
            true,
        ),
    ] {
        let (config, warnings) = parse(&format!(
            r#"{{"loadBalancingConfig": [{policy}], "healthCheckConfig": {{"serviceName": "s"}}}}"#
        ));
        assert_eq!(config.health_check_service_name(), Some("s"));
        let is_warned = |warning: &String| warning.starts_with("$.healthCheckConfig: ");
        let warned = warnings.iter().any(is_warned);
        assert_eq!(warned, !counts, "{policy}: {warnings:?}");
    }
}
