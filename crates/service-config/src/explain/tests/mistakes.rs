use super::*;

#[test]
fn likely_mistakes_are_found() {
    let with_name = |name: &str| entry(name, "");
    let with_retry = |changes: &str| entry("{}", &retry(changes));
    let timed_retry = |timeout: &str| {
        let settings = format!(r#""timeout": {timeout:?}, {}"#, retry(""));
        entry("{}", &settings)
    };
    let codes = |codes: &str| with_retry(&format!(r#""retryableStatusCodes": [{codes}]"#));
    for (json, place, part) in [
        (
            with_name(r#"{"service": "pb.UserServiceClient"}"#),
            "name[0].service",
            r#"did you mean "pb.UserService"?"#,
        ),
        (
            with_name(r#"{"service": "pb.UserService/GetById"}"#),
            "name[0].service",
            r#"did you mean {"service": "pb.UserService", "method": "GetById"}?"#,
        ),
        (
            with_name(r#"{"service": "pb::UserService"}"#),
            "name[0].service",
            "a path in Rust",
        ),
        (
            codes(r#""UNAVAILABLE", "INTERNAL", "UNKNOWN", "DATA_LOSS""#),
            "retryPolicy.retryableStatusCodes",
            "after UNKNOWN, INTERNAL, DATA_LOSS the server may have done",
        ),
        (
            codes(r#""UNAVAILABLE", "NOT_FOUND""#),
            "retryPolicy.retryableStatusCodes",
            "NOT_FOUND: the same request mostly fails",
        ),
        (
            codes(r#""RESOURCE_EXHAUSTED""#),
            "retryPolicy.retryableStatusCodes",
            "without UNAVAILABLE",
        ),
        (
            with_retry(r#""initialBackoff": "2s""#),
            "retryPolicy.initialBackoff",
            "2s is more than maxBackoff, 1s",
        ),
        (
            with_retry(r#""backoffMultiplier": 0.5"#),
            "retryPolicy.backoffMultiplier",
            "a shorter time",
        ),
        (
            timed_retry("0.05s"),
            "timeout",
            "0.05s is over before the first retry, which waits for about 0.1s",
        ),
        (
            entry("{}", r#""timeout": "0s""#),
            "timeout",
            "ends every call at once",
        ),
        (
            entry(
                "{}",
                r#""timeout": "1s", "hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s"}"#,
            ),
            "timeout",
            "1s is over before the second attempt, which starts after 1s",
        ),
    ] {
        let found = explain(&json).likely_mistakes;
        assert_eq!(found.len(), 1, "{json}: {found:?}");
        assert_eq!(found[0].path, format!("$.methodConfig[0].{place}"));
        assert!(found[0].reason.contains(part), "{json}: {found:?}");
    }
}

#[test]
fn what_is_as_it_should_be_is_no_mistake() {
    for json in [
        "{}".to_owned(),
        entry("{}", &retry("")),
        entry(r#"{"service": "Client"}, {"service": "pb.Client"}"#, ""),
        entry("{}", &format!(r#""timeout": "0.1s", {}"#, retry(""))),
        entry("{}", r#""hedgingPolicy": {"maxAttempts": 2}"#),
        entry("{}", r#""timeout": "1s", "maxRequestMessageBytes": 0"#),
    ] {
        let found = explain(&json).likely_mistakes;
        assert!(found.is_empty(), "{json}: {found:?}");
    }
}

#[test]
fn what_a_wider_entry_sets_is_not_taken_over() {
    let json = format!(
        r#"{{"methodConfig": [
            {{"name": [{{}}], "timeout": "1s", "waitForReady": true, {}}},
            {{"name": [{{"service": "a"}}], "timeout": "2s", "hedgingPolicy": {{"maxAttempts": 2}}}},
            {{"name": [{{"service": "a", "method": "m"}}], "timeout": "2s", "waitForReady": false}}
        ]}}"#,
        retry("")
    );
    let found: Vec<_> = explain(&json)
        .likely_mistakes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "$.methodConfig[1].name[0]: takes the place of $.methodConfig[0].name[0] as a whole: \
             a is without its waitForReady",
            "$.methodConfig[2].name[0]: takes the place of $.methodConfig[0].name[0] as a whole: \
             a/m is without its retryPolicy",
            "$.methodConfig[2].name[0]: takes the place of $.methodConfig[1].name[0] as a whole: \
             a/m is without its hedgingPolicy",
        ]
    );
}

#[test]
fn a_throttle_of_nothing_is_a_mistake() {
    let throttle = r#""retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}"#;
    let found = explain(&format!("{{{throttle}}}")).likely_mistakes;
    assert_eq!(found[0].path, "$.retryThrottling");
    let with_retries = entry("{}", &retry("")).replacen('{', &format!("{{{throttle},"), 1);
    assert!(explain(&with_retries).likely_mistakes.is_empty());
}

#[test]
fn weights_by_load_reports_are_told_from_registered_ones() {
    let mut registry = crate::PolicyRegistry::default();
    let name = "weighted_round_robin";
    registry.register_fn(name, |_| Ok(evenkeel_policy::lb::RoundRobin::new));
    let json = r#"{"loadBalancingConfig": [{"weighted_round_robin": {}}]}"#;
    let config = ServiceConfig::parse_with(json, &registry).unwrap();
    let found = config.explain().likely_mistakes;
    assert_eq!(
        found[0].path,
        "$.loadBalancingConfig[0].weighted_round_robin"
    );
    assert!(
        found[0]
            .reason
            .contains("evenkeel.registered_weighted_round_robin")
    );
}

#[test]
fn a_name_that_no_call_has_is_told_with_the_one_that_calls_have() {
    for (written, called, is_meant) in [
        ("UserService", "/pb.UserService/Get", true),
        ("pb.UserServce", "/pb.UserService/Get", true),
        ("user::UserService", "/user.UserService/Get", true),
        ("OrderService", "/pb.UserService/Get", false),
    ] {
        let config = config(&entry(&format!(r#"{{"service": {written:?}}}"#), ""));
        assert_eq!(config.explain().never_called, [""; 0], "nothing was called");
        let _ = config.method(called);
        let explanation = config.explain();
        assert_eq!(explanation.never_called, [written]);
        let title = format!("never called so far, while {called:?} was:");
        assert!(explanation.to_string().contains(&title), "{explanation}");
        let mut found = explanation.likely_mistakes.iter();
        let is_told = found.any(|it| it.reason.contains("never called so far, but"));
        assert_eq!(is_told, is_meant, "{written}: {explanation}");
    }
}
