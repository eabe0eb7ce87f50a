use proptest::prelude::*;

use super::*;

fn yaml(text: &str) -> Result<Vec<Endpoint>, FileError> {
    parse(text.as_bytes(), Format::Yaml, None)
}

#[test]
fn an_endpoint_says_all_there_is_to_say() {
    let text = r#"
endpoints:
  - 10.0.0.5:8090
  - addresses: ["10.0.0.6:8090", "[::1]:8090"]
    authority: users.internal
    weight: 10
    version: v2
    zone: eu-1
    region: eu
    status: draining
    tags: [gpu, big]
    other: {rack: "7"}
"#;
    let list = yaml(text).unwrap();
    assert_eq!(
        list[0],
        Endpoint::new("10.0.0.5:8090".parse::<Address>().unwrap())
    );
    let full = &list[1];
    let metadata = full.metadata();
    assert_eq!(full.addresses().len(), 2);
    assert_eq!(full.authority(), Some("users.internal"));
    assert_eq!(metadata.weight, Some(10.0));
    assert_eq!(metadata.version.as_deref(), Some("v2"));
    assert_eq!(metadata.zone.as_deref(), Some("eu-1"));
    assert_eq!(metadata.region.as_deref(), Some("eu"));
    assert_eq!(metadata.availability, Availability::Draining);
    assert_eq!(metadata.tags, ["gpu", "big"]);
    assert_eq!(metadata.other["rack"], "7");

    let json = br#"{"endpoints": ["10.0.0.5:8090", {"address": "unix:///run/a", "weight": 0.5}]}"#;
    let same = parse(json, Format::Json, None).unwrap();
    assert_eq!(same, parse(json, Format::Yaml, None).unwrap());
    assert_eq!(same[1].metadata().weight, Some(0.5));
    assert!(yaml("endpoints: []").unwrap().is_empty());
}

#[test]
fn a_file_may_have_several_services() {
    let text = "services: {a: [10.0.0.1:1], b: []}";
    let of = |service| parse(text.as_bytes(), Format::Yaml, service);
    assert_eq!(of(Some("a")).unwrap().len(), 1);
    assert!(of(Some("b")).unwrap().is_empty());
    let error = of(Some("c")).unwrap_err().to_string();
    assert_eq!(error, r#"it has no service "c"; it has "a", "b""#);
    assert!(of(None).is_err());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, parts) in [
        ("", &["it is empty"][..]),
        (" \n", &["it is empty"]),
        ("[]", &["a map with `endpoints` or `services`"]),
        (
            "endpoints:\n- address: 10.0.0.1:1\n  wieght: 3",
            &["unknown field `wieght`", "`weight`", "line"],
        ),
        ("endponts: []", &["unknown field `endponts`", "`endpoints`"]),
        ("endpoints:\n- 10.0.0.1", &["the port is missing", "line 2"]),
        ("endpoints:\n- 0.0.0.0:80", &["nobody can dial", "line 2"]),
        ("endpoints:\n- 7", &["an address, or a map", "line 2"]),
        (
            "endpoints:\n- address: 10.0.0.1:1\n  weight: -1",
            &["not negative", "line 2"],
        ),
        (
            "endpoints:\n- address: 10.0.0.1:1\n  weight: .nan",
            &["not negative", "line 2"],
        ),
        (
            "endpoints:\n- address: 10.0.0.1:1\n  status: away",
            &["unknown variant `away`", "`draining`"],
        ),
        (
            "endpoints:\n- zone: a",
            &["missing field `address`", "line 2"],
        ),
        (
            "endpoints:\n- {address: a:1, addresses: [b:1]}",
            &["not both", "line 2"],
        ),
        (
            "endpoints:\n- addresses: []",
            &["at least one address", "line 2"],
        ),
        ("endpoints:\n- address: 10.0.0.1:1\n  tags: [", &["line"]),
    ] {
        let error = yaml(text).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
    let error = parse(br#"{"endpoints": ["a"]}"#, Format::Json, None).unwrap_err();
    assert!(error.to_string().contains("line 1 column"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_a_list_or_an_error(text in any::<Vec<u8>>(), yaml in "[-:\\[\\]{}a-z \n&*!|>\"]{0,60}") {
        for format in [Format::Json, Format::Yaml] {
            drop(parse(&text, format, None));
            drop(parse(yaml.as_bytes(), format, Some("a")));
            drop(parse(format!("endpoints:\n{yaml}").as_bytes(), format, None));
        }
    }
}
