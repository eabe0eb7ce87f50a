use evenkeel_core::{Availability, Metadata};
use proptest::prelude::*;

use super::*;

const KEY: &str = "/microservices/helloworld/8f5e7c1a-0a4f-11ef-9a3b-0242ac120002";

fn value(endpoints: &str, more: &str) -> String {
    format!(r#"{{"id":"8f5e7c1a","name":"helloworld"{more},"endpoints":{endpoints}}}"#)
}

fn decode_as(kratos: &Kratos, endpoints: &str) -> Decoded {
    let value = value(endpoints, "");
    let decoded = kratos.decode("helloworld", KEY, value.as_bytes());
    decoded.unwrap().unwrap()
}

fn decode(value: &str) -> Result<Option<Decoded>, CodecError> {
    Kratos::default().decode("helloworld", KEY, value.as_bytes())
}

fn endpoint() -> Endpoint {
    Endpoint::new("10.0.0.5:9000".parse::<Address>().unwrap())
}

fn encode(endpoint: &Endpoint) -> Result<String, CodecError> {
    let value = Kratos::default().encode("helloworld", endpoint)?;
    Ok(String::from_utf8(value).unwrap())
}

#[test]
fn writes_what_kratos_reads() {
    let mut metadata = Metadata::default().with_weight(100.0);
    metadata.version = Some("v1.0.0".into());
    metadata.tags = vec!["blue".into(), "canary".into()];
    let endpoint = endpoint().with_metadata(metadata);
    let kratos = Kratos::default();
    let key = kratos.key("helloworld", &endpoint);
    assert_eq!(key, "/microservices/helloworld/10.0.0.5:9000");
    assert_eq!(
        encode(&endpoint).unwrap(),
        r#"{"id":"10.0.0.5:9000","name":"helloworld","version":"v1.0.0","metadata":{"tags":"blue,canary","weight":"100"},"endpoints":["grpc://10.0.0.5:9000"]}"#
    );
}

#[test]
fn without_a_namespace_keys_begin_with_a_slash() {
    let kratos = Kratos {
        root: String::new(),
        ..Kratos::default()
    };
    assert_eq!(kratos.prefix("helloworld"), "/helloworld/");
    assert_eq!(
        kratos.key("helloworld", &endpoint()),
        "/helloworld/10.0.0.5:9000"
    );
    let value = value(r#"["grpc://10.0.0.5:9000"]"#, "");
    let decoded = kratos.decode("helloworld", "/helloworld/8f5e7c1a", value.as_bytes());
    assert!(decoded.unwrap().is_some());
}

#[test]
fn a_goodbye_has_its_place() {
    let draining = Metadata::default().with_availability(Availability::Draining);
    let value = encode(&endpoint().with_metadata(draining)).unwrap();
    let metadata = decode(&value).unwrap().unwrap().endpoint.metadata().clone();
    assert_eq!(metadata.availability, Availability::Draining);
}

#[test]
fn refuses_what_the_format_has_no_place_for() {
    let with = |change: fn(&mut Metadata)| {
        let mut metadata = Metadata::default();
        change(&mut metadata);
        encode(&endpoint().with_metadata(metadata))
            .unwrap_err()
            .to_string()
    };
    assert!(with(|it| it.weight = Some(2.5)).contains("no whole number"));
    assert!(with(|it| it.weight = Some(1e17)).contains("no whole number"));
    assert!(with(|it| it.weight = Some(-1.0)).contains("no number from 0"));
    assert!(with(|it| it.weight = Some(f64::NAN)).contains("no whole number"));
    let status = |it: &mut Metadata| drop(it.other.insert("status".into(), "down".into()));
    assert!(with(status).contains("other metadata called"));
    assert!(with(|it| it.tags = vec!["a,b".into()]).contains("a tag with a comma"));
    let socket = Endpoint::new("unix:///run/x.sock".parse::<Address>().unwrap());
    assert!(
        encode(&socket)
            .unwrap_err()
            .to_string()
            .contains("a Unix socket")
    );
    let named = encode(&endpoint().with_authority("user")).unwrap_err();
    assert!(named.to_string().contains("an authority"));
}

#[test]
fn the_wanted_kind_of_url_is_taken_and_the_other_if_there_is_only_that() {
    let tls = Kratos {
        tls: true,
        ..Kratos::default()
    };
    let both = r#"["http://10.0.0.5:8000","grpcs://10.0.0.5:9001","grpc://10.0.0.5:9000"]"#;
    let only = r#"["grpcs://10.0.0.5:9001"]"#;
    let plain = r#"["grpc://10.0.0.5:9000"]"#;
    for (kratos, endpoints, address, scheme) in [
        (&Kratos::default(), both, "10.0.0.5:9000", None),
        (&tls, both, "10.0.0.5:9001", Some("grpcs")),
        (&Kratos::default(), only, "10.0.0.5:9001", Some("grpcs")),
        (&tls, plain, "10.0.0.5:9000", None),
        (
            &tls,
            r#"["grpc://10.0.0.5:9000?isSecure=true"]"#,
            "10.0.0.5:9000",
            Some("grpcs"),
        ),
        (
            &tls,
            r#"["grpc://10.0.0.5:9000?isSecure=false"]"#,
            "10.0.0.5:9000",
            None,
        ),
        (&tls, r#"["grpc://10.0.0.5:9000/"]"#, "10.0.0.5:9000", None),
        (&tls, r#"["grpc://[fd00::5]:9000"]"#, "[fd00::5]:9000", None),
    ] {
        let decoded = decode_as(kratos, endpoints);
        assert_eq!(decoded.endpoint.to_string(), address, "{endpoints}");
        let said = decoded.endpoint.metadata().other.get("scheme");
        assert_eq!(said.map(String::as_str), scheme, "{endpoints}");
        let is_wanted = kratos.tls == scheme.is_some();
        assert_eq!(decoded.remark.is_none(), is_wanted, "{endpoints}");
    }
}

#[test]
fn only_values_of_exactly_that_name_are_its_own() {
    for (service, is_its_own) in [
        ("helloworld", true),
        ("/helloworld/", true),
        ("hello", false),
        ("helloworld/sub", false),
        ("Helloworld", false),
    ] {
        let value = value(r#"["grpc://10.0.0.5:9000"]"#, "");
        let decoded = Kratos::default().decode(service, KEY, value.as_bytes());
        assert_eq!(decoded.unwrap().is_some(), is_its_own, "{service}");
    }
}

#[test]
fn metadata_is_understood_and_the_field_is_the_version() {
    let value = value(
        r#"["grpc://10.0.0.5:9000"]"#,
        r#","version":"v2","metadata":{"weight":"7","version":"v1","zone":"a","kind":"grpc"}"#,
    );
    let decoded = decode(&value).unwrap().unwrap();
    let metadata = decoded.endpoint.metadata();
    assert_eq!(
        (metadata.weight, metadata.zone.as_deref()),
        (Some(7.0), Some("a"))
    );
    assert_eq!(metadata.version.as_deref(), Some("v2"));
    assert_eq!(metadata.other.get("kind").map(String::as_str), Some("grpc"));
    assert_eq!(decoded.remark, None);
}

#[test]
fn a_value_without_an_endpoint_is_refused_with_the_reason() {
    for (value, why) in [
        ("10.0.0.5:80".to_owned(), "not JSON"),
        (r#"{"endpoints":[]}"#.to_owned(), "name"),
        (value("null", ""), "a URL grpc://"),
        (value(r#"["http://10.0.0.5:8000",7]"#, ""), "a URL grpc://"),
        (value(r#"["grpc://10.0.0.5"]"#, ""), "port is missing"),
        (value(r#"["grpc://0.0.0.0:9000"]"#, ""), "can be dialled"),
    ] {
        let error = decode(&value).unwrap_err().to_string();
        assert!(error.contains(why), "{value}: {error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        weight in 0..1_000_000_u32,
        version in prop::option::of(".+"),
        service in "[^/]+(/[^/]+)?",
        tags in prop::collection::vec("[^,\\s]+", 0..3),
        other in prop::collection::btree_map("x.*", ".+", 0..3),
        tls in any::<bool>(),
    ) {
        let mut metadata = Metadata::default().with_weight(f64::from(weight));
        metadata.version = version;
        metadata.tags = tags;
        metadata.other = other;
        metadata.availability = Availability::Down;
        if tls {
            metadata.other.insert("scheme".into(), "grpcs".into());
        }
        let endpoint = endpoint().with_metadata(metadata);
        let kratos = Kratos { tls, ..Kratos::default() };
        let (key, value) = (kratos.key(&service, &endpoint), kratos.encode(&service, &endpoint).unwrap());
        prop_assert!(key.starts_with(&kratos.prefix(&service)));
        let decoded = kratos.decode(&service, &key, &value).unwrap();
        prop_assert_eq!(decoded, Some(Decoded::new(endpoint)));
    }
}
