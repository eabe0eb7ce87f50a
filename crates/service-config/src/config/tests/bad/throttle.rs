//! `retryThrottling`.

use super::refused;

#[test]
fn tokens_and_their_ratio_are_checked() {
    refused(&[
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
            r#"{"retryThrottling": []}"#,
            "$.retryThrottling",
            "not an object",
        ),
        (
            r#"{"retryThrottling": {}}"#,
            "$.retryThrottling.maxTokens",
            "required",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": -1, "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "1 to 1000",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": "many", "tokenRatio": 1}}"#,
            "$.retryThrottling.maxTokens",
            "not a number",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": -0.1}}"#,
            "$.retryThrottling.tokenRatio",
            "less than 0.001",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": "10%"}}"#,
            "$.retryThrottling.tokenRatio",
            "not a number",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": null}}"#,
            "$.retryThrottling.tokenRatio",
            "required",
        ),
    ]);
}
