use serde_json::json;

use super::*;

mod mistakes;

fn config(json: &str) -> ServiceConfig {
    ServiceConfig::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn explain(json: &str) -> Explanation {
    config(json).explain()
}

/// A config whose first entry is for `name` and sets `settings`.
fn entry(name: &str, settings: &str) -> String {
    let comma = if settings.is_empty() { "" } else { "," };
    format!(r#"{{"methodConfig": [{{"name": [{name}]{comma} {settings}}}]}}"#)
}

fn retry(changes: &str) -> String {
    let defaults = [
        ("initialBackoff", r#""0.1s""#),
        ("maxBackoff", r#""1s""#),
        ("backoffMultiplier", "2"),
        ("retryableStatusCodes", r#"["UNAVAILABLE"]"#),
    ];
    let missing = defaults.iter().filter(|(name, _)| !changes.contains(name));
    let fields: Vec<_> = missing
        .map(|(name, value)| format!("{name:?}: {value}"))
        .chain((!changes.is_empty()).then(|| changes.to_owned()))
        .collect();
    format!(
        r#""retryPolicy": {{"maxAttempts": 3, {}}}"#,
        fields.join(", ")
    )
}

#[test]
fn the_text_says_what_is_in_force_and_what_is_not() {
    let config = config(
        r#"{
            "loadBalancingConfig": [{"acme": {}}, {"least_request": {"choiceCount": 3, "x": 1}}],
            "methodConfig": [
                {"name": [{"service": "UserService", "method": "GetById"}], "timeout": "1.5s",
                 "waitForReady": true, "maxRequestMessageBytes": 0, "maxResponseMessageBytes": 1000,
                 "retryPolicy": {"maxAttempts": 500, "initialBackoff": "0.01s", "maxBackoff": "0.1s",
                                 "backoffMultiplier": 2.0, "retryableStatusCodes": [8, "unavailable"]}},
                {"name": [{"service": "UserService"}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.5s"}},
                {"name": [{}]}
            ],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
            "healthCheckConfig": {"serviceName": ""},
            "connectionScaling": {"maxConnectionsPerSubchannel": 4}
        }"#,
    );
    let expected = "\
load balancing:
  least_request_experimental: choiceCount 3
methods, of which the most specific name counts alone:
  UserService/GetById ($.methodConfig[0].name[0]): timeout 1.5s; waits for ready; retries on RESOURCE_EXHAUSTED, UNAVAILABLE, 5 attempts in all (capped, 500 are written), after 0.01s, then ×2 up to 0.1s; only empty requests; responses of up to 1000 bytes
  UserService ($.methodConfig[1].name[0]): hedges, 3 attempts in all, one each 0.5s, until the first result
  all services ($.methodConfig[2].name[0]): nothing
retry throttling: of 10 tokens a failure costs 1 and a success gives 0.1 back; no retries at 5 or fewer
health checks: of service \"\"
connections per subchannel: up to 4
ignored, skipped or changed:
  $.loadBalancingConfig[0].acme: policy not known, skipped
  $.loadBalancingConfig[1].least_request.x: unknown field, ignored
  $.methodConfig[0].retryPolicy.maxAttempts: 500 attempts are more than the cap of 5, which counts
";
    assert_eq!(config.explain().to_string(), expected);

    let _ = config.method("/UserService/List");
    let after = config.explain();
    assert_eq!(after.never_called, ["UserService/GetById"]);
    let expected = format!("{expected}never called so far:\n  UserService/GetById\n");
    assert_eq!(after.to_string(), expected);
}

#[test]
fn nothing_configured_is_little_to_explain() {
    let expected = "load balancing:\n  pick_first\nmethods: nothing is configured for any\n";
    assert_eq!(ServiceConfig::default().explain().to_string(), expected);
    let expected = expected.replace("pick_first", "pick_first; by default: shuffleAddressList");
    let written = r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#;
    assert_eq!(explain(written).to_string(), expected);
}

#[test]
fn json_has_it_as_the_service_config_writes_it() {
    let explanation = explain(&entry(
        r#"{"service": "s"}"#,
        &format!(r#""timeout": "0.25s", {}"#, retry("")),
    ));
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        json["methods"][0],
        json!({
            "name": "s", "path": "$.methodConfig[0].name[0]", "timeout": "0.25s",
            "waitForReady": null,
            "retry": {"maxAttempts": 3, "writtenMaxAttempts": 3, "initialBackoff": "0.1s",
                "maxBackoff": "1s", "backoffMultiplier": 2.0,
                "retryableStatusCodes": ["UNAVAILABLE"]},
            "hedging": null, "maxRequestMessageBytes": null, "maxResponseMessageBytes": null,
            "called": false,
        })
    );
    assert_eq!(json["loadBalancing"]["name"], "pick_first");
}

#[test]
fn children_are_shown_with_their_configs_and_apart_from_their_parents() {
    let mut registry = crate::PolicyRegistry::default();
    registry.register_fn("acme", |config| {
        let share = |field: crate::Field<'_>| field.integer(0..=100);
        let share = config.optional("share", share)?;
        config.optional("inner", |field| {
            field.object(|inner| inner.optional("depth", |field| field.boolean()).map(drop))
        })?;
        let child = config.required("childPolicy", |field| field.child_policy())?;
        let _ = (share, child);
        Ok(evenkeel_policy::lb::RoundRobin::new)
    });
    let json = r#"{"loadBalancingConfig": [{"acme": {"Share": 7, "inner": {}, "childPolicy":
        [{"acme": {"INNER": {"Depth": true, "x": 1}, "childPolicy": [{"acme": {"inner": null,
            "childPolicy": [{"round_robin": {}}]}}]}}]}}]}"#;
    let config = ServiceConfig::parse_with(json, &registry).unwrap();
    let expected = "load balancing:
  acme: inner {}, share 7; by default: inner.depth
    acme: inner {\"depth\":true}; by default: share
      acme; by default: share, inner
        round_robin
";
    let text = config.explain().to_string();
    assert_eq!(text.split("methods").next(), Some(expected));
}

#[test]
fn each_thing_is_one_line_whatever_the_document_holds() {
    let json = r#"{"loadBalancingConfig": [{"pick_first": {}}], "a\nb": 1,
        "methodConfig": [{"name": [{"service": "s\r\nClient", "method": "m\n"}]},
                         {"name": [{}], "timeout": "1s"}]}"#;
    let config = config(json);
    let _ = config.method("/x\ny/z");
    let text = config.explain().to_string();
    assert_eq!(text.lines().count(), 12, "{text}");
}
