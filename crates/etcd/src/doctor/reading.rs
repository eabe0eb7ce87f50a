//! What the layout makes of keys and values, and which other layout would make more of them.

use std::sync::Arc;

use super::Entry;
use crate::discover::decode;
use crate::{CODEC_NAMES, Codec, CodecError, Decoded, EtcdConfig, codec_named};

/// Why a value is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// What the layout says.
    pub reason: String,
    /// The address in it that names no machine or no port, if that is what is wrong.
    pub unspecified: Option<String>,
    /// The layouts that can read it.
    pub readable_as: Vec<&'static str>,
}

/// A key as etcd has it.
pub(super) struct Raw<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// 0 for none.
    pub(super) lease: i64,
}

pub(super) fn read(config: &EtcdConfig, service: &str, raw: &Raw<'_>) -> Entry {
    let reading = decode(&*config.codec, service, &config.prefix, raw.key, raw.value);
    let reading = reading.map_err(|error| unreadable(config, service, raw, &error));
    // Who only reads a layout does not know how its writers name their keys.
    let is_written = |read: &&Decoded| config.codec.encode(service, &read.endpoint).is_ok();
    let decoded = reading.as_ref().ok().and_then(Option::as_ref);
    let expected_key = decoded.filter(is_written).map(|read| {
        let relative = config.codec.key(service, &read.endpoint);
        format!("{}{relative}", config.prefix)
    });
    Entry {
        key: String::from_utf8_lossy(raw.key).into_owned(),
        lease: (raw.lease != 0).then_some(raw.lease),
        reading,
        expected_key,
    }
}

fn unreadable(config: &EtcdConfig, service: &str, raw: &Raw<'_>, error: &CodecError) -> Unreadable {
    let readable = other_layouts().filter(|(_, codec)| {
        let read = decode(&**codec, service, &config.prefix, raw.key, raw.value);
        matches!(read, Ok(Some(_)))
    });
    Unreadable {
        reason: error.to_string(),
        unspecified: match error {
            CodecError::Unspecified { address, .. } => Some(address.to_string()),
            _ => None,
        },
        readable_as: readable.map(|(name, _)| name).collect(),
    }
}

/// The layouts that can be named, without those that take a guess.
pub(super) fn other_layouts() -> impl Iterator<Item = (&'static str, Arc<dyn Codec>)> {
    let names = CODEC_NAMES.iter();
    // The second reads what `kratos` reads.
    let names = names.filter(|name| !matches!(**name, "auto" | "kratos-tls"));
    names.filter_map(|name| Some((*name, codec_named(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FnCodec;

    fn read_value(value: &str) -> Entry {
        let raw = Raw {
            key: b"prod/user/a",
            value: value.as_bytes(),
            lease: 7,
        };
        let prefix = "prod/".to_owned();
        let config = EtcdConfig {
            prefix,
            ..EtcdConfig::default()
        };
        read(&config, "user", &raw)
    }

    #[test]
    fn a_readable_value_has_its_endpoint_and_the_key_that_it_would_get() {
        let entry = read_value(r#"{"Addr":"10.0.0.1:80"}"#);
        assert_eq!((entry.key.as_str(), entry.lease), ("prod/user/a", Some(7)));
        assert_eq!(entry.endpoint().unwrap().to_string(), "10.0.0.1:80");
        assert_eq!(entry.expected_key.unwrap(), "prod/user/10.0.0.1:80");
    }

    #[test]
    fn an_address_that_names_nobody_is_what_the_layout_refused_and_no_guess() {
        for (layout, value, found) in [
            ("go", r#"{"Addr":"0.0.0.0:80"}"#, Some("0.0.0.0:80")),
            ("go", r#"{"Addr":"10.0.0.1:0"}"#, Some("10.0.0.1:0")),
            ("plain", "[::]:80\n", Some("[::]:80")),
            (
                "kratos",
                r#"{"id":"1","name":"user","endpoints":["grpc://[::]:80"]}"#,
                Some("[::]:80"),
            ),
            // These are refused for other reasons.
            (
                "go",
                r#"{"Addr":17,"Metadata":{"listen":"0.0.0.0:80"}}"#,
                None,
            ),
            (
                "go",
                r#"{"Addr":"nonsense","Metadata":{"shard":"orders:0"}}"#,
                None,
            ),
            ("go", "0.0.0.0:80", None),
        ] {
            let config = EtcdConfig {
                codec: codec_named(layout).unwrap(),
                ..EtcdConfig::default()
            };
            let key = format!("{}1", config.codec.prefix("user"));
            let raw = Raw {
                key: key.as_bytes(),
                value: value.as_bytes(),
                lease: 7,
            };
            let unreadable = read(&config, "user", &raw).reading.unwrap_err();
            assert_eq!(unreadable.unspecified.as_deref(), found, "{value}");
            assert!(!unreadable.reason.is_empty());
        }
    }

    #[test]
    fn a_codec_that_panics_costs_the_value_and_not_the_doctor() {
        let config = EtcdConfig {
            codec: Arc::new(FnCodec::new("ours", |_, _, _| panic!("on purpose"))),
            ..EtcdConfig::default()
        };
        let raw = Raw {
            key: b"user/1",
            value: b"{}",
            lease: 0,
        };
        let reading = read(&config, "user", &raw).reading;
        assert_eq!(reading.unwrap_err().reason, "the codec panicked");
    }

    #[test]
    fn the_layouts_that_would_read_it_are_named() {
        let kratos = r#"{"id":"1","name":"user","version":"v1","metadata":{},
            "endpoints":["grpc://10.0.0.5:9000"]}"#;
        let unreadable = read_value(kratos).reading.unwrap_err();
        assert!(unreadable.readable_as.contains(&"kratos"), "{unreadable:?}");
        let plain = read_value("10.0.0.5:9000").reading.unwrap_err();
        assert!(plain.readable_as.contains(&"go-zero"), "{plain:?}");
    }

    #[test]
    fn a_key_that_is_not_text_is_unreadable() {
        let raw = Raw {
            key: b"user/\xff",
            value: b"{}",
            lease: 0,
        };
        let entry = read(&EtcdConfig::default(), "user", &raw);
        assert_eq!((entry.key.as_str(), entry.lease), ("user/\u{fffd}", None));
        assert!(entry.reading.unwrap_err().reason.contains("UTF-8"));
    }
}
