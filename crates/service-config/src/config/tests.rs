use std::time::Duration;

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use tonic::Code;

use super::*;

mod bad;
mod random;

/// As the gRPC course ships it.
const COURSE: &str = r#"{"loadBalancingConfig":[{"custom_weighted_round_robin":{}}],
 "methodConfig":[{"name":[{"service":"UserService"}],
   "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s","backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

fn strict() -> ParseOptions {
    ParseOptions {
        strict: true,
        ..ParseOptions::default()
    }
}

/// Parses; what `strict` would refuse comes as `path: reason`.
fn parse(json: &str) -> (ServiceConfig, Vec<String>) {
    let config = ServiceConfig::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let warnings = config.warnings().iter();
    let warnings = warnings
        .map(|one| {
            let text = one.to_string();
            assert_eq!(text, format!("{}: {}", one.path, one.reason));
            assert_eq!(text.lines().count(), 1, "{text:?}");
            text
        })
        .collect();
    (config, warnings)
}

/// A config with this retryPolicy for all methods.
fn with_retry_policy(policy: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {policy}}}]}}"#)
}

fn retry_policy(config: &ServiceConfig) -> RetryPolicy {
    config.method("/s/m").unwrap().retry_policy.clone().unwrap()
}

#[test]
fn the_course_config_is_taken_as_it_is() {
    let config = strict().parse(COURSE).unwrap();
    let lb = config.load_balancing();
    assert_eq!(lb.name(), "evenkeel.registered_weighted_round_robin");
    drop(lb.build());
    let method = config.method("/UserService/GetById").unwrap();
    assert_eq!(
        method.retry_policy,
        Some(RetryPolicy::new(
            4,
            Duration::from_millis(10),
            Duration::from_millis(100),
            2.0,
            CodeSet::from_iter([Code::Unavailable]),
        ))
    );
    assert_eq!(config.method("/Other/GetById"), None);
}

#[test]
fn nothing_configured_is_pick_first_and_nothing_for_any_method() {
    for config in [
        ServiceConfig::default(),
        ServiceConfig::parse("{}").unwrap(),
    ] {
        assert_eq!(config.load_balancing().name(), "pick_first");
        assert_eq!(config.method("/s/m"), None);
        assert_eq!(config.retry_throttling(), None);
        assert!(config.warnings().is_empty());
    }
}

#[test]
fn the_example_of_a6_parses() {
    let policy = r#"{
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }"#;
    let config = strict().parse(&with_retry_policy(policy)).unwrap();
    assert_eq!(retry_policy(&config).max_backoff, Duration::from_secs(1));

    let throttled = r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#;
    let throttle = strict().parse(throttled).unwrap().retry_throttling();
    assert_eq!(throttle, Some(ThrottleConfig::new(10_000, 100)));
}

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

#[test]
fn the_most_specific_name_counts_whatever_the_order_and_nothing_is_merged() {
    let (config, _) = parse(
        r#"{"methodConfig": [
            {"name": [{}], "timeout": "1s", "waitForReady": true},
            {"name": [{"service": "a.B"}, {"service": "c", "method": null}], "timeout": "2s"},
            {"name": [{"service": "a.B", "method": "M"}], "timeout": "3s"},
            {"name": [{"service": "x/y", "method": "M"}], "timeout": "4s"},
            {"name": [{"service": "a.B", "method": "None"}]}
        ]}"#,
    );
    for (path, timeout, wait_for_ready) in [
        ("/a.B/M", Some(3), None),
        ("/a.B/m", Some(2), None),
        ("/a.B/Other", Some(2), None),
        ("/c/M", Some(2), None),
        ("/x/y/M", Some(4), None),
        ("/a.b/M", Some(1), Some(true)),
        ("/a/M", Some(1), Some(true)),
        ("/M", Some(1), Some(true)),
        ("a.B/M", Some(3), None),
        ("", Some(1), Some(true)),
        ("/", Some(1), Some(true)),
        ("//", Some(1), Some(true)),
        ("/a.B/None", None, None),
    ] {
        let method = config.method(path).unwrap();
        assert_eq!(method.timeout, timeout.map(Duration::from_secs), "{path}");
        assert_eq!(method.wait_for_ready, wait_for_ready, "{path}");
    }
}

#[test]
fn many_services_are_all_found() {
    let entries: Vec<_> = (0..200)
        .map(|n| {
            format!(r#"{{"name": [{{"service": "s{n}", "method": "m{n}"}}], "timeout": "{n}s"}}"#)
        })
        .collect();
    let (config, _) = parse(&format!(r#"{{"methodConfig": [{}]}}"#, entries.join(",")));
    for n in 0..200 {
        let method = config.method(&format!("/s{n}/m{n}")).unwrap();
        assert_eq!(method.timeout, Some(Duration::from_secs(n)));
        assert_eq!(config.method(&format!("/s{n}/m{}", n + 1)), None);
    }
}

#[test]
fn null_is_absent() {
    let (config, warnings) = parse(
        r#"{"loadBalancingConfig": null, "methodConfig": [{"name": [{"service": null, "method": null}],
            "timeout": null, "waitForReady": null, "retryPolicy": null, "hedgingPolicy": null}],
            "retryThrottling": null, "healthCheckConfig": null}"#,
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(**config.method("/s/m").unwrap(), MethodConfig::default());
}

#[test]
fn statuses_are_names_in_any_case_or_numbers() {
    let policy = r#"{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 0.5,
        "retryableStatusCodes": ["unavailable", "Aborted", 8, 0, "OK", 16]}"#;
    let (config, warnings) = parse(&with_retry_policy(policy));
    let expected = [
        Code::Unavailable,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::Unauthenticated,
    ];
    assert_eq!(
        retry_policy(&config).retryable_codes,
        CodeSet::from_iter(expected)
    );
    assert_eq!(warnings.len(), 2, "OK twice: {warnings:?}");
}

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
            r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 3}}]}"#,
            "$.methodConfig[0].hedgingPolicy",
            "not supported by this version: ignored",
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": ""}}"#,
            "$.healthCheckConfig",
            "not supported",
        ),
        (
            r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 2}}"#,
            "$.connectionScaling",
            "not supported",
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
        let error = strict().parse(json).unwrap_err();
        assert_eq!(format!("{}: {}", error.path, error.reason), warnings[0]);
    }
}

#[test]
fn spellings_in_another_case_count() {
    let policy = r#"{"MaxAttempts": 3, "initialbackoff": "1s", "maxBackOff": "2s",
        "backoffMultiplier": 1, "retryableStatusCodes": [14]}"#;
    let (config, warnings) = parse(&with_retry_policy(policy));
    assert_eq!(retry_policy(&config).max_backoff, Duration::from_secs(2));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn all_that_a_method_can_have_is_there_for_the_layers() {
    let (config, warnings) = parse(
        r#"{"methodConfig": [
            {"name": [{"service": "s"}], "maxRequestMessageBytes": 0, "maxResponseMessageBytes": 4294967295,
             "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["INTERNAL", 14]}},
            {"name": [{"service": "t"}], "hedgingPolicy": {"maxAttempts": 9}}
        ],
        "healthCheckConfig": {"serviceName": ""},
        "connectionScaling": {"maxConnectionsPerSubchannel": 0}}"#,
    );
    let of_s = config.method("/s/m").unwrap();
    assert_eq!(of_s.max_request_message_bytes, Some(0));
    assert_eq!(of_s.max_response_message_bytes, Some(u32::MAX));
    let codes = CodeSet::of(&[Code::Internal, Code::Unavailable]);
    let half = Duration::from_millis(500);
    assert_eq!(
        of_s.hedging_policy,
        Some(HedgingPolicy::new(3, half, codes))
    );
    let of_t = config.method("/t/m").unwrap();
    assert_eq!(of_t.max_request_message_bytes, None);
    assert_eq!(
        of_t.hedging_policy,
        Some(HedgingPolicy::new(5, Duration::ZERO, CodeSet::default())),
        "capped, without a delay"
    );
    assert_eq!(config.health_check_service_name(), Some(""));
    assert_eq!(config.max_connections_per_subchannel(), Some(1), "0 is 1");

    let unsupported = |place: &str| format!("{place}: not supported by this version: ignored");
    assert_eq!(
        warnings,
        [
            unsupported("$.methodConfig[0].hedgingPolicy"),
            "$.methodConfig[1].hedgingPolicy.maxAttempts: 9 attempts are more than the cap of 5, which counts".to_owned(),
            unsupported("$.methodConfig[1].hedgingPolicy"),
            unsupported("$.healthCheckConfig"),
            unsupported("$.connectionScaling"),
        ]
    );
}

#[test]
fn an_empty_health_check_config_asks_for_none() {
    for json in [
        "{}",
        r#"{"healthCheckConfig": {}}"#,
        r#"{"healthCheckConfig": {"serviceName": null}}"#,
    ] {
        let (config, _) = parse(json);
        assert_eq!(config.health_check_service_name(), None, "{json}");
    }
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let (config, warnings) =
        parse(r#"{"retryThrottling": {"maxTokens": 10.0, "tokenRatio": 0.5466}}"#);
    assert_eq!(
        config.retry_throttling(),
        Some(ThrottleConfig::new(10_000, 546))
    );
    assert!(warnings.is_empty());
}

#[test]
fn a_clone_shares_the_config() {
    let config = ServiceConfig::parse(COURSE).unwrap();
    assert!(Arc::ptr_eq(&config.parts, &config.clone().parts));
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
