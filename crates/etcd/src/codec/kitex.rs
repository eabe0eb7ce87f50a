use evenkeel_core::Endpoint;

use super::fields::{Fields, address};
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// The layout of Kitex (`registry-etcd`); read only.
///
/// | key | value |
/// |---|---|
/// | `kitex/registry-etcd/user/10.0.0.5:8888` | `{"network":"tcp","address":"10.0.0.5:8888","weight":10,"tags":null}` |
///
/// - A weight that is missing or not more than 0 is 10, as for Kitex.
/// - `tags` is a map of texts; it is understood as [the metadata of the Go
///   client](super::GoEndpoints).
/// - `network` may be `unix`.
#[derive(Clone, Debug)]
pub struct Kitex {
    /// What keys begin with: Kitex' `WithEtcdServicePrefix`. Default `kitex/registry-etcd`. An empty
    /// one is for servers whose keys are `/user/10.0.0.5:8888`, as version 0.2.4 writes them, and
    /// `NewEtcdRegistryWithAuth`.
    pub root: String,
}

impl Default for Kitex {
    fn default() -> Self {
        Self {
            root: "kitex/registry-etcd".to_owned(),
        }
    }
}

impl Codec for Kitex {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("kitex"))
    }

    fn decode(
        &self,
        service: &str,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        // The address is the rest of the key; a socket's has slashes.
        let rest = key.strip_prefix(&self.prefix(service));
        let is_own = |rest: &str| !rest.contains('/') || fields.text("address") == Some(rest);
        if !rest.is_some_and(is_own) {
            return Ok(None);
        }
        read(&fields).map(Some)
    }
}

/// What a value says.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    let Some(text) = fields.text("address") else {
        return Err(CodecError::field("address", "a string host:port"));
    };
    let address = match fields.text("network") {
        Some("unix") => address("address", &format!("unix:{text}"))?,
        _ => address("address", text)?,
    };
    let mut said = Said::read(fields.field("tags"));
    said.metadata.weight = Some(fields.weight_or("weight", 10.0));
    Ok(said.of(Endpoint::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(key: &str, value: &str) -> Option<Decoded> {
        let decoded = Kitex::default().decode("user", key, value.as_bytes());
        decoded.unwrap()
    }

    #[test]
    fn a_weight_that_is_none_is_ten() {
        for (weight, meant) in [("0", 10.0), ("-1", 10.0), ("null", 10.0), ("3", 3.0)] {
            let value = format!(r#"{{"address":"10.0.0.5:8888","weight":{weight}}}"#);
            let decoded = decode("kitex/registry-etcd/user/10.0.0.5:8888", &value).unwrap();
            assert_eq!(decoded.endpoint.metadata().weight, Some(meant), "{weight}");
        }
    }

    #[test]
    fn tags_say_more_of_the_server() {
        let value = r#"{"network":"tcp","address":"10.0.0.5:8888","weight":5,
            "tags":{"version":"v1","zone":"a","cluster":"blue"}}"#;
        let decoded = decode("kitex/registry-etcd/user/10.0.0.5:8888", value).unwrap();
        let metadata = decoded.endpoint.metadata();
        assert_eq!(metadata.version.as_deref(), Some("v1"));
        assert_eq!(metadata.zone.as_deref(), Some("a"));
        assert_eq!(
            metadata.other.get("cluster").map(String::as_str),
            Some("blue")
        );
    }

    #[test]
    fn without_a_root_keys_begin_with_a_slash() {
        let kitex = Kitex {
            root: String::new(),
        };
        assert_eq!(kitex.prefix("user"), "/user/");
        let value = br#"{"network":"tcp","address":"10.0.0.5:8888"}"#;
        let decoded = kitex.decode("user", "/user/10.0.0.5:8888", value);
        let endpoint = decoded.unwrap().unwrap().endpoint;
        assert_eq!(endpoint.to_string(), "10.0.0.5:8888");
    }

    #[test]
    fn keys_of_a_service_below_are_another_s_and_sockets_are_not() {
        let value = r#"{"network":"tcp","address":"10.0.0.5:8888"}"#;
        assert_eq!(
            decode("kitex/registry-etcd/user/admin/10.0.0.5:8888", value),
            None
        );
        let value = r#"{"network":"unix","address":"/run/user.sock"}"#;
        let decoded = decode("kitex/registry-etcd/user//run/user.sock", value).unwrap();
        assert_eq!(decoded.endpoint.to_string(), "unix:///run/user.sock");
    }
}
