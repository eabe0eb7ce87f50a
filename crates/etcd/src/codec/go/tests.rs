use evenkeel_core::{Address, Availability, Metadata};
use proptest::prelude::*;

use super::*;

fn decode(value: &str) -> Result<Decoded, CodecError> {
    let decoded = GoEndpoints.decode("service/user", "service/user/x", value.as_bytes())?;
    Ok(decoded.expect("every key below the service is its own"))
}

fn metadata(value: &str) -> (Metadata, Option<String>) {
    let value = format!(r#"{{"Addr":"10.0.0.5:80","Metadata":{value}}}"#);
    let decoded = decode(&value).unwrap();
    (decoded.endpoint.metadata().clone(), decoded.remark)
}

fn endpoint() -> Endpoint {
    Endpoint::new("127.0.0.1:8090".parse::<Address>().unwrap())
}

fn encode(endpoint: &Endpoint) -> Result<String, CodecError> {
    let value = GoEndpoints.encode("service/user", endpoint)?;
    Ok(String::from_utf8(value).unwrap())
}

#[test]
fn writes_what_the_go_client_writes() {
    let weighted = endpoint().with_metadata(Metadata::default().with_weight(10.0));
    assert_eq!(
        GoEndpoints.key("service/user", &weighted),
        "service/user/127.0.0.1:8090"
    );
    assert_eq!(
        encode(&weighted).unwrap(),
        r#"{"Op":0,"Addr":"127.0.0.1:8090","Metadata":{"weight":10}}"#
    );
    assert_eq!(
        encode(&endpoint()).unwrap(),
        r#"{"Op":0,"Addr":"127.0.0.1:8090","Metadata":null}"#
    );
}

#[test]
fn refuses_what_the_format_has_no_place_for() {
    let addresses = ["10.0.0.1:1", "10.0.0.2:1"].map(|text| text.parse().unwrap());
    let two = Endpoint::with_addresses(addresses).unwrap();
    assert!(matches!(
        encode(&two),
        Err(CodecError::NoPlace {
            what: "a second address"
        })
    ));
    let named = endpoint().with_authority("user");
    assert!(matches!(
        encode(&named),
        Err(CodecError::NoPlace {
            what: "an authority"
        })
    ));
}

#[test]
fn refuses_what_would_be_read_as_something_else() {
    for weight in [f64::NAN, f64::INFINITY, -1.0] {
        let mut metadata = Metadata::default();
        metadata.weight = Some(weight);
        let error = encode(&endpoint().with_metadata(metadata)).unwrap_err();
        assert!(error.to_string().contains("no number from 0"), "{weight}");
    }
    for name in ["status", "Weight", "TAGS", "version", "zone", "region"] {
        let mut metadata = Metadata::default();
        metadata.other.insert(name.into(), "down".into());
        let error = encode(&endpoint().with_metadata(metadata)).unwrap_err();
        assert!(
            error.to_string().contains("other metadata called"),
            "{name}"
        );
    }
}

#[test]
fn of_names_that_only_differ_in_case_the_one_in_lower_case_counts() {
    for value in [
        r#"{"weight":1,"Weight":2,"WEIGHT":3}"#,
        r#"{"WEIGHT":3,"Weight":2,"weight":1}"#,
    ] {
        assert_eq!(metadata(value).0.weight, Some(1.0), "{value}");
    }
    for value in [
        r#"{"ADDR":"h:2","addr":"h:1"}"#,
        r#"{"addr":"h:1","ADDR":"h:2"}"#,
    ] {
        assert_eq!(
            decode(value).unwrap().endpoint.to_string(),
            "h:1",
            "{value}"
        );
    }
}

#[test]
fn a_byte_that_is_no_text_costs_the_character_and_not_the_server() {
    let value = b"{\"Addr\":\"10.0.0.5:80\",\"Metadata\":{\"zone\":\"M\xfcnchen\"}}";
    let decoded = GoEndpoints
        .decode("user", "user/1", value)
        .unwrap()
        .unwrap();
    let zone = decoded.endpoint.metadata().zone.as_deref();
    assert_eq!(zone, Some("M\u{fffd}nchen"));
}

#[test]
fn what_is_said_of_a_value_is_short_however_long_it_is() {
    let long = "ü".repeat(100_000);
    let fields: Vec<_> = (0..1000).map(|n| format!(r#""{n}Zone":1"#)).collect();
    let bad: Vec<_> = [
        "weight", "WEIGHT", "Weight", "status", "Status", "STATUS", "wEIGHT",
    ]
    .map(|name| format!(r#""{name}":"{long}""#))
    .into();
    let (_, remark) = metadata(&format!("{{{},{}}}", fields.join(","), bad.join(",")));
    let remark = remark.unwrap();
    assert!(
        remark.len() < 1500 && remark.ends_with("and more"),
        "{remark}"
    );
    let error = decode(&format!(r#"{{"Addr":"{long}"}}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Addr: expected an address of at most 512 bytes"
    );
}

#[test]
fn the_prefix_ends_in_exactly_one_slash() {
    for service in ["user", "user/", "user//"] {
        assert_eq!(GoEndpoints.prefix(service), "user/");
    }
}

#[test]
fn reads_what_people_write() {
    for value in [
        r#"{"Op":0,"Addr":"127.0.0.1:8090","Metadata":{"weight":10}}"#,
        r#"{"Addr":"127.0.0.1:8090","Metadata":{"weight":10.0}}"#,
        r#"{"addr":"127.0.0.1:8090","metadata":{"Weight":"10"}}"#,
        r#"{"OP":"add","ADDR":"127.0.0.1:8090","METADATA":"{\"weight\":10}","more":[1]}"#,
    ] {
        let decoded = decode(value).unwrap();
        let expected = endpoint().with_metadata(Metadata::default().with_weight(10.0));
        assert_eq!(decoded, Decoded::new(expected), "{value}");
    }
}

#[test]
fn metadata_may_be_any_json() {
    for (value, other) in [
        ("null", None),
        (r#""""#, None),
        ("[1,2]", Some("[1,2]")),
        (r#""blue""#, Some("blue")),
        ("7", Some("7")),
        ("true", Some("true")),
    ] {
        let (metadata, remark) = metadata(value);
        assert_eq!(
            metadata.other.get("metadata").map(String::as_str),
            other,
            "{value}"
        );
        assert_eq!((metadata.weight, remark), (None, None), "{value}");
    }
    assert_eq!(
        decode(r#"{"Addr":"h:1"}"#).unwrap().endpoint.metadata(),
        &Metadata::default()
    );
}

#[test]
fn every_field_is_understood() {
    let (metadata, remark) = metadata(
        r#"{"weight":2.5,"version":"v1.2","zone":"a","region":3,"status":"Draining",
            "tags":["blue","canary"],"shard":7,"leader":true,"nothing":null,"nested":{"a":1}}"#,
    );
    assert_eq!(remark, None);
    assert_eq!(metadata.weight, Some(2.5));
    assert_eq!(metadata.version.as_deref(), Some("v1.2"));
    assert_eq!(metadata.zone.as_deref(), Some("a"));
    assert_eq!(metadata.region.as_deref(), Some("3"));
    assert_eq!(metadata.availability, Availability::Draining);
    assert_eq!(metadata.tags, ["blue", "canary"]);
    let other: Vec<_> = metadata
        .other
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let expected = [("leader", "true"), ("nested", r#"{"a":1}"#), ("shard", "7")];
    assert_eq!(other, expected);
}

#[test]
fn nonsense_in_the_metadata_costs_the_field_not_the_server() {
    for (value, named) in [
        (r#"{"weight":"heavy"}"#, "weight"),
        (r#"{"weight":-1}"#, "weight"),
        (r#"{"weight":"NaN"}"#, "weight"),
        (r#"{"weight":true}"#, "weight"),
        (r#"{"status":"asleep"}"#, "status"),
        (r#"{"status":0}"#, "status"),
        (r#"{"tags":{"a":1}}"#, "tags"),
        (r#"{"zone":[]}"#, "zone"),
    ] {
        let (metadata, remark) = metadata(value);
        assert!(
            remark.is_some_and(|remark| remark.starts_with(named)),
            "{value}"
        );
        assert_eq!(metadata, Metadata::default(), "{value}");
    }
}

#[test]
fn a_value_without_an_address_is_refused_with_the_reason() {
    for (value, why) in [
        ("", "not JSON"),
        ("10.0.0.5:80", "not JSON"),
        ("[]", "an object"),
        (r#"{"Op":0}"#, "Addr"),
        (r#"{"Addr":80}"#, "Addr"),
        (r#"{"Addr":"1.2.3.4"}"#, "port is missing"),
        (r#"{"Addr":"0.0.0.0:80"}"#, "can be dialled"),
    ] {
        let error = decode(value).unwrap_err().to_string();
        assert!(error.contains(why), "{value}: {error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        weight in prop::option::of((0..1_000_000_u32).prop_map(|eighths| f64::from(eighths) / 8.0)),
        version in prop::option::of(".*"),
        tags in prop::collection::vec("[^,]*", 0..3),
        other in prop::collection::btree_map("x.*|Weight|status|[tT][aA][gG][sS]", ".+", 0..3),
    ) {
        let mut metadata = Metadata::default();
        metadata.weight = weight;
        metadata.version = version;
        metadata.tags = tags;
        metadata.other = other;
        metadata.availability = Availability::Down;
        let is_told_apart = metadata.other.keys().all(|name| name.starts_with('x'));
        let endpoint = endpoint().with_metadata(metadata);
        let value = GoEndpoints.encode("user", &endpoint);
        prop_assert_eq!(value.is_ok(), is_told_apart);
        let Ok(value) = value else { return Ok(()) };
        let decoded = GoEndpoints.decode("user", "user/x", &value).unwrap();
        prop_assert_eq!(decoded, Some(Decoded::new(endpoint)));
    }
}
