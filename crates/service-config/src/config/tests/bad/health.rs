//! `healthCheckConfig` and `connectionScaling`.

use super::refused;

#[test]
fn a_health_check_has_a_name_and_scaling_a_number() {
    refused(&[
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
        (
            r#"{"healthCheckConfig": "UserService"}"#,
            "$.healthCheckConfig",
            "not an object",
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": ["a"]}}"#,
            "$.healthCheckConfig.serviceName",
            "not a text",
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": true}}"#,
            "$.healthCheckConfig.serviceName",
            "true is not a text",
        ),
        (
            r#"{"connectionScaling": 2}"#,
            "$.connectionScaling",
            "2 is not an object",
        ),
        (
            r#"{"connectionScaling": {"maxConnectionsPerSubchannel": -1}}"#,
            "$.connectionScaling.maxConnectionsPerSubchannel",
            "at least 0",
        ),
        (
            r#"{"connectionScaling": {"maxConnectionsPerSubchannel": "all"}}"#,
            "$.connectionScaling.maxConnectionsPerSubchannel",
            "not a number",
        ),
    ]);
}
