//! What the documentation shows of key layouts is true.

use evenkeel_core::{Address, Endpoint};
use evenkeel_etcd::{CODEC_NAMES, CodecError, codec_named};

const PAGE: &str = include_str!("../../../docs/discovery.md");

/// The rows of the table of layouts: names, type, key, value, and what can be done with it.
fn rows() -> Vec<[&'static str; 5]> {
    let table = PAGE.split("| name | type | key ").nth(1);
    let table = table.expect("the page has the table").lines().skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        <[&str; 5]>::try_from(cells).expect("a row has five cells")
    })
    .collect()
}

/// What is written as code in a cell.
fn code(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_layout_is_in_the_table() {
    let names: Vec<_> = rows().into_iter().flat_map(|row| code(row[0])).collect();
    for name in CODEC_NAMES {
        assert!(names.contains(name), "{name}");
    }
    assert_eq!(names.len(), CODEC_NAMES.len());
}

#[test]
fn every_key_and_value_of_the_table_is_one_of_its_layout() {
    let mut read = 0;
    for [names, _, key, value, _] in rows() {
        let ([key], names) = (&code(key)[..], code(names)) else {
            continue; // those that have none of their own
        };
        let value = code(value).first().copied().unwrap_or_default();
        for name in names {
            let service = match name {
                "dubbo-interface" => "com.acme.User",
                "skydns" => "user.local",
                _ => "user",
            };
            let codec = codec_named(name).expect("it is known");
            assert!(key.starts_with(&codec.prefix(service)), "{name}: {key}");
            let decoded = codec.decode(service, key, value.as_bytes());
            let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
            let decoded = decoded.unwrap_or_else(|| panic!("{name}: it is another service's"));
            // The table shows a server without TLS.
            assert_eq!(decoded.remark.is_some(), name == "kratos-tls", "{name}");
            let (port, weight) = match name {
                "go" => (8090, Some(10.0)),
                "go-zero" | "plain" => (8090, None),
                "kratos" | "kratos-tls" => (9000, Some(100.0)),
                "kitex" => (8888, Some(10.0)),
                "dubbo" | "dubbo-interface" => (20000, Some(100.0)),
                "go-micro" => (41321, None),
                "fyer" => (8001, None),
                "rpcx" => (8972, Some(10.0)),
                "goframe" => (9000, Some(10.0)),
                "skydns" => (8080, Some(10.0)),
                _ => panic!("{name} is new"),
            };
            let endpoint = decoded.endpoint;
            assert_eq!(endpoint.to_string(), format!("10.0.0.5:{port}"), "{name}");
            assert_eq!(endpoint.metadata().weight, weight, "{name}");
            read += 1;
        }
    }
    assert_eq!(read, CODEC_NAMES.len() - 1, "all but the one that guesses");
}

#[test]
fn what_is_said_to_be_written_is_and_nothing_else() {
    let address: Address = "10.0.0.5:8090".parse().expect("an address");
    let endpoint = Endpoint::new(address);
    for [names, .., use_of_it] in rows() {
        for name in code(names) {
            let codec = codec_named(name).expect("it is known");
            match codec.encode("user", &endpoint) {
                Ok(_) => assert!(use_of_it.contains("written"), "{name}"),
                Err(CodecError::ReadOnly { .. }) => {
                    assert!(!use_of_it.contains("written"), "{name}");
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}
