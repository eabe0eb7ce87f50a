//! `hedgingPolicy`.

use super::*;

const POLICY: &str = "$.methodConfig[0].hedgingPolicy";

#[test]
fn each_field_is_checked() {
    for (fields, place, part) in [
        ("", "maxAttempts", "required"),
        (
            r#""max_attempts": 2"#,
            "maxAttempts",
            r#"is "max_attempts" meant to be it?"#,
        ),
        (r#""maxAttempts": null"#, "maxAttempts", "required"),
        (
            r#""maxAttempts": 1"#,
            "maxAttempts",
            "1 is not a whole number of at least 2",
        ),
        (r#""maxAttempts": 0"#, "maxAttempts", "at least 2"),
        (r#""maxAttempts": -1"#, "maxAttempts", "at least 2"),
        (
            r#""maxAttempts": 2.5"#,
            "maxAttempts",
            "2.5 is not a whole number",
        ),
        (r#""maxAttempts": "two""#, "maxAttempts", "not a number"),
        (
            r#""maxAttempts": 2, "hedgingDelay": "5ms""#,
            "hedgingDelay",
            r#""0.005s""#,
        ),
        (
            r#""maxAttempts": 2, "hedgingDelay": 0.5"#,
            "hedgingDelay",
            r#""0.5s""#,
        ),
        (
            r#""maxAttempts": 2, "hedgingDelay": "-1s""#,
            "hedgingDelay",
            "negative",
        ),
        (
            r#""maxAttempts": 2, "nonFatalStatusCodes": "INTERNAL""#,
            "nonFatalStatusCodes",
            "not a list",
        ),
        (
            r#""maxAttempts": 2, "nonFatalStatusCodes": ["NOPE"]"#,
            "nonFatalStatusCodes[0]",
            "name of a status",
        ),
        (
            r#""maxAttempts": 2, "nonFatalStatusCodes": [14, 17]"#,
            "nonFatalStatusCodes[1]",
            "from 0 to 16",
        ),
        (
            r#""maxAttempts": 2, "nonFatalStatusCodes": [{}]"#,
            "nonFatalStatusCodes[0]",
            "not a number",
        ),
    ] {
        let json = method(&format!(r#""hedgingPolicy": {{{fields}}}"#));
        refused(&[(&json, &format!("{POLICY}.{place}"), part)]);
    }
}

#[test]
fn a_policy_is_an_object() {
    for policy in ["[]", "2", r#""INTERNAL""#] {
        let json = method(&format!(r#""hedgingPolicy": {policy}"#));
        refused(&[(&json, POLICY, "not an object")]);
    }
}

#[test]
fn a_method_has_no_retry_policy_beside_it() {
    let retry = retry::with_field("", "");
    let hedging = r#""hedgingPolicy": {"maxAttempts": 2}, "retryPolicy""#;
    let both = retry.replace(r#""retryPolicy""#, hedging);
    refused(&[(&both, POLICY, "a retryPolicy or a hedgingPolicy, not both")]);
}
