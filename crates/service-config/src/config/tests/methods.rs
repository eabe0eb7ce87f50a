//! What is configured for which method.

use evenkeel_policy::hedge::HedgingPolicy;

use super::*;

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

    let without = "$.healthCheckConfig: no effect: pick_first does without health checks";
    assert_eq!(
        warnings,
        [
            "$.methodConfig[1].hedgingPolicy.maxAttempts: 9 attempts are more than the cap of 5, which counts".to_owned(),
            without.to_owned(),
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
