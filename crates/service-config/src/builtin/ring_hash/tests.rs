use super::super::table::{bad, good};
use super::*;

const NAME: &str = "ring_hash_experimental";
const EXTENDED: &str = "evenkeel.ring_hash";

fn on(name: &'static str) -> Option<HashOn> {
    Some(HashOn::Header(HeaderName::from_static(name)))
}

#[test]
fn good_configs() {
    for (json, hash_on, least, most, warnings) in [
        ("{}", None, 1024, 4096, &[""][..]),
        (r#"{"requestHashHeader": ""}"#, None, 1024, 4096, &[""]),
        (r#"{"requestHashHeader": null}"#, None, 1024, 4096, &[""]),
        (
            r#"{"requestHashHeader": "user-id"}"#,
            on("user-id"),
            1024,
            4096,
            &[],
        ),
        (
            r#"{"requestHashHeader": "X.User_Id", "minRingSize": 1, "maxRingSize": 1}"#,
            on("x.user_id"),
            1,
            1,
            &[],
        ),
        // Checked first, cut to 4096 by the policy.
        (
            r#"{"requestHashHeader": "a", "minRingSize": 8388608, "maxRingSize": 8388608}"#,
            on("a"),
            8_388_608,
            8_388_608,
            &[],
        ),
        (
            r#"{"requestHashHeader": "a", "maxRingSize": "2048"}"#,
            on("a"),
            1024,
            2048,
            &[".maxRingSize"],
        ),
    ] {
        let parsed = good(NAME, json, parse, warnings);
        assert_eq!(parsed.hash_on, hash_on, "{json}");
        let sizes = (parsed.min_ring_size, parsed.max_ring_size);
        assert_eq!(sizes, (least, most), "{json}");
        assert_eq!(
            (parsed.ring_size_cap, parsed.bounded_load_factor),
            (4096, None)
        );
    }
}

#[test]
fn bad_configs() {
    for (json, place, reason) in [
        (
            r#"{"requestHashHeader": "a b"}"#,
            ".requestHashHeader",
            "not a header name",
        ),
        (
            r#"{"requestHashHeader": ":path"}"#,
            ".requestHashHeader",
            "not a header name",
        ),
        (
            r#"{"requestHashHeader": "ключ"}"#,
            ".requestHashHeader",
            "not a header name",
        ),
        (
            r#"{"requestHashHeader": "user-bin"}"#,
            ".requestHashHeader",
            "binary header",
        ),
        (
            r#"{"requestHashHeader": "User-Bin"}"#,
            ".requestHashHeader",
            "binary header",
        ),
        (
            r#"{"requestHashHeader": 7}"#,
            ".requestHashHeader",
            "not a text",
        ),
        (r#"{"minRingSize": 0}"#, ".minRingSize", "from 1 to 8388608"),
        (
            r#"{"minRingSize": 8388609}"#,
            ".minRingSize",
            "from 1 to 8388608",
        ),
        (
            r#"{"maxRingSize": 8388609}"#,
            ".maxRingSize",
            "from 1 to 8388608",
        ),
        (
            r#"{"maxRingSize": -1}"#,
            ".maxRingSize",
            "from 1 to 8388608",
        ),
        (
            r#"{"minRingSize": 2, "maxRingSize": 1}"#,
            "",
            "minRingSize (2) is more than",
        ),
        // Each with the other's default; both are above the cap.
        (
            r#"{"minRingSize": 5000}"#,
            "",
            "is more than maxRingSize (4096)",
        ),
        (
            r#"{"maxRingSize": 1000}"#,
            "",
            "minRingSize (1024) is more than",
        ),
        (
            r#"{"minRingSize": 7000, "maxRingSize": 6000}"#,
            "",
            "is more than",
        ),
    ] {
        bad(NAME, json, place, reason);
    }
}

#[test]
fn good_extended_configs() {
    for (json, hash_on, most, factor) in [
        (
            r#"{"hashOn": {"header": "user-id"}}"#,
            on("user-id"),
            65_536,
            None,
        ),
        (
            r#"{"hashOn": {"path": true}, "boundedLoadFactor": 1}"#,
            Some(HashOn::Path),
            65_536,
            Some(1.0),
        ),
        (
            r#"{"hashOn": {"header": "a", "path": false}, "boundedLoadFactor": 1.25,
                "maxRingSize": 100000}"#,
            on("a"),
            100_000,
            Some(1.25),
        ),
    ] {
        let parsed = good(EXTENDED, json, parse_extended, &[]);
        assert_eq!(parsed.hash_on, hash_on, "{json}");
        assert_eq!(parsed.bounded_load_factor, factor, "{json}");
        assert_eq!(parsed.max_ring_size, most, "{json}");
        assert_eq!(parsed.ring_size_cap, RingHash::MAX_RING_SIZE, "{json}");
    }
}

#[test]
fn bad_extended_configs() {
    for (rest, place, reason) in [
        ("", ".hashOn", "required"),
        (r#""hashOn": "path""#, ".hashOn", "not an object"),
        (r#""hashOn": {}"#, ".hashOn", "either"),
        (r#""hashOn": {"path": false}"#, ".hashOn", "either"),
        (
            r#""hashOn": {"path": true, "header": "a"}"#,
            ".hashOn",
            "either",
        ),
        (r#""hashOn": {"path": 1}"#, ".hashOn.path", "true or false"),
        (
            r#""hashOn": {"header": ""}"#,
            ".hashOn.header",
            "not a header name",
        ),
        (
            r#""hashOn": {"header": "a-bin"}"#,
            ".hashOn.header",
            "binary header",
        ),
        (
            r#""hashOn": {"path": true}, "boundedLoadFactor": 0.99"#,
            ".boundedLoadFactor",
            "at least 1",
        ),
        (
            r#""hashOn": {"path": true}, "boundedLoadFactor": "much""#,
            ".boundedLoadFactor",
            "not a number",
        ),
        (
            r#""hashOn": {"path": true}, "minRingSize": 65537"#,
            "",
            "more than maxRingSize (65536)",
        ),
    ] {
        bad(EXTENDED, &format!("{{{rest}}}"), place, reason);
    }
}
