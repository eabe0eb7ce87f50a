//! The document as a whole.

use super::refused;

#[test]
fn a_document_is_one_object_with_each_field_once() {
    refused(&[
        ("", "$", "malformed JSON"),
        ("{", "$", "malformed JSON"),
        ("[]", "$", "one JSON object"),
        (r#"{"a": 1, "a": 2}"#, "$.a", "twice"),
        (
            r#"{"retryThrottling": null, "RetryThrottling": null}"#,
            "$.RetryThrottling",
            "twice",
        ),
        (" ", "$", "malformed JSON"),
        ("null", "$", "one JSON object"),
        ("{} {}", "$", "malformed JSON"),
        ("{'methodConfig': []}", "$", "malformed JSON"),
        (r#"{"methodConfig": [],}"#, "$", "malformed JSON"),
        ("{\"a\": 1 // comment\n}", "$", "malformed JSON"),
        (r#"{"a": {"b": [{"c": 1, "c": 1}]}}"#, "$.a.b[0].c", "twice"),
        (
            r#"{"methodConfig": [{"name": [{"service": "a", "service": "b"}]}]}"#,
            "$.methodConfig[0].name[0].service",
            "twice",
        ),
        (
            r#"{"methodConfig": [], "MethodConfig": []}"#,
            "$.MethodConfig",
            "also as \"methodConfig\"",
        ),
    ]);
}
