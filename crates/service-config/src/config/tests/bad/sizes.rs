//! `maxRequestMessageBytes` and `maxResponseMessageBytes`.

use super::refused;

#[test]
fn a_size_is_a_whole_number_of_bytes() {
    refused(&[
        (
            r#"{"methodConfig": [{"maxResponseMessageBytes": -1}]}"#,
            "$.methodConfig[0].maxResponseMessageBytes",
            "at least 0",
        ),
        (
            r#"{"methodConfig": [{"maxRequestMessageBytes": -1}]}"#,
            "$.methodConfig[0].maxRequestMessageBytes",
            "-1 is not a whole number of at least 0",
        ),
        (
            r#"{"methodConfig": [{"maxRequestMessageBytes": 1.5}]}"#,
            "$.methodConfig[0].maxRequestMessageBytes",
            "not a whole number",
        ),
        (
            r#"{"methodConfig": [{"maxRequestMessageBytes": "4MB"}]}"#,
            "$.methodConfig[0].maxRequestMessageBytes",
            r#""4MB" is not a number"#,
        ),
        (
            r#"{"methodConfig": [{"maxResponseMessageBytes": true}]}"#,
            "$.methodConfig[0].maxResponseMessageBytes",
            "not a number",
        ),
        (
            r#"{"methodConfig": [{"maxResponseMessageBytes": 4294967296}]}"#,
            "$.methodConfig[0].maxResponseMessageBytes",
            "from 0 to 4294967295",
        ),
        (
            r#"{"methodConfig": [{"maxResponseMessageBytes": [1]}]}"#,
            "$.methodConfig[0].maxResponseMessageBytes",
            "not a number",
        ),
    ]);
}
