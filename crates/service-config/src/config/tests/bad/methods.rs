//! `methodConfig`, without its policies.

use super::refused;

#[test]
fn names_timeouts_and_waiting_are_checked() {
    refused(&[
        (r#"{"methodConfig": {}}"#, "$.methodConfig", "not a list"),
        (
            r#"{"methodConfig": [1]}"#,
            "$.methodConfig[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [null]}"#,
            "$.methodConfig[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": {}}]}"#,
            "$.methodConfig[0].name",
            "not a list",
        ),
        (
            r#"{"methodConfig": [{"name": ["UserService"]}]}"#,
            "$.methodConfig[0].name[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": [{"method": "GetById"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without its service",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "", "method": "GetById"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without its service",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": 1}]}]}"#,
            "$.methodConfig[0].name[0].service",
            "1 is not a text",
        ),
        (
            r#"{"methodConfig": [{"name": [{}]}, {"name": [{"service": "a"}, {"service": ""}]}]}"#,
            "$.methodConfig[1].name[1]",
            "a second entry for all services; the first is $.methodConfig[0].name[0]",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a"}]}, {"name": [{"service": "a", "method": ""}]}]}"#,
            "$.methodConfig[1].name[0]",
            "second entry for all of a",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a", "method": "m"}, {"service": "a", "method": "m"}]}]}"#,
            "$.methodConfig[0].name[1]",
            "second entry for a/m",
        ),
        (
            r#"{"methodConfig": [{"timeout": "1m"}]}"#,
            "$.methodConfig[0].timeout",
            r#""60s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": "-1s"}]}"#,
            "$.methodConfig[0].timeout",
            "negative",
        ),
        (
            r#"{"methodConfig": [{"timeout": "315576000001s"}]}"#,
            "$.methodConfig[0].timeout",
            "more than",
        ),
        (
            r#"{"methodConfig": [{"waitForReady": "true"}]}"#,
            "$.methodConfig[0].waitForReady",
            "true or false",
        ),
        (
            r#"{"methodConfig": "UserService"}"#,
            "$.methodConfig",
            "not a list; put it in [ ]",
        ),
        (
            r#"{"methodConfig": {"name": [{}]}}"#,
            "$.methodConfig",
            "put it in [ ]",
        ),
        (
            r#"{"methodConfig": [[]]}"#,
            "$.methodConfig[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": {"service": "a"}}]}"#,
            "$.methodConfig[0].name",
            "put it in [ ]",
        ),
        (
            r#"{"methodConfig": [{"name": [null]}]}"#,
            "$.methodConfig[0].name[0]",
            "not an object",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": ["a"]}]}]}"#,
            "$.methodConfig[0].name[0].service",
            "not a text",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a", "method": 1}]}]}"#,
            "$.methodConfig[0].name[0].method",
            "1 is not a text",
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": null, "method": "m"}]}]}"#,
            "$.methodConfig[0].name[0]",
            "without its service",
        ),
        (
            r#"{"methodConfig": [{"name": [{}, {}]}]}"#,
            "$.methodConfig[0].name[1]",
            "a second entry for all services",
        ),
        (
            r#"{"methodConfig": [{"timeout": "100ms"}]}"#,
            "$.methodConfig[0].timeout",
            r#"write seconds, for example "0.1s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": 5}]}"#,
            "$.methodConfig[0].timeout",
            r#""5s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": "5"}]}"#,
            "$.methodConfig[0].timeout",
            r#""5s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": " 1s"}]}"#,
            "$.methodConfig[0].timeout",
            r#""1s""#,
        ),
        (
            r#"{"methodConfig": [{"timeout": "1.0000000001s"}]}"#,
            "$.methodConfig[0].timeout",
            "not a duration",
        ),
        (
            r#"{"methodConfig": [{"timeout": {"seconds": 1}}]}"#,
            "$.methodConfig[0].timeout",
            "not a duration",
        ),
        (
            r#"{"methodConfig": [{"waitForReady": 1}]}"#,
            "$.methodConfig[0].waitForReady",
            "1 is not true or false",
        ),
        (
            r#"{"methodConfig": [{"name": [{}]}, {"waitForReady": "yes"}]}"#,
            "$.methodConfig[1].waitForReady",
            "true or false",
        ),
    ]);
}
