//! `retryPolicy`.

use super::*;

const POLICY: &str = "$.methodConfig[0].retryPolicy";

/// A config with a complete retryPolicy, with one field replaced; `""` leaves it out.
pub(super) fn with_field(field: &str, value: &str) -> String {
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
fn each_field_is_checked() {
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
        ("maxAttempts", "[3]", "", "not a number"),
        ("initialBackoff", "null", "", "required"),
        ("initialBackoff", r#""1m""#, "", r#"for example "60s""#),
        ("maxBackoff", r#""1 s""#, "", "not a duration"),
        ("maxBackoff", "true", "", "not a duration"),
        ("backoffMultiplier", r#""x2""#, "", "not a number"),
        ("backoffMultiplier", "[2]", "", "not a number"),
        (
            "retryableStatusCodes",
            r#"[["UNAVAILABLE"]]"#,
            "[0]",
            "not a number",
        ),
        (
            "retryableStatusCodes",
            r#"[14, ""]"#,
            "[1]",
            "not the name of a status",
        ),
    ] {
        let json = with_field(field, value);
        let path = format!("{POLICY}.{field}{place}");
        refused(&[(&json, &path, part)]);
    }
}

#[test]
fn a_policy_is_an_object() {
    for policy in ["[]", "3", "true", r#""UNAVAILABLE""#] {
        refused(&[(&with_retry_policy(policy), POLICY, "not an object")]);
    }
}
