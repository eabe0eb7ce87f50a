use evenkeel_core::Endpoint;

use super::fields::{Fields, address, shown};
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// The layout of GoFrame (`gsvc`, `contrib/registry/etcd`); read only.
///
/// | key | value |
/// |---|---|
/// | `/service/default/default/user/latest/10.0.0.5:9000` | `{"protocol":"grpc","insecure":true,"weight":10}` |
///
/// - After the service a key has its version and then its addresses, separated by commas: one
///   endpoint that all of them reach. Those that cannot be dialled are left out with a remark.
/// - A server whose `protocol` is another than `grpc` is skipped.
/// - The value is understood as [the metadata of the Go client](super::GoEndpoints); it may be
///   empty. The version is the key's.
#[derive(Clone, Debug)]
pub struct GoFrame {
    /// What keys begin with: GoFrame's prefix, deployment and namespace. Default
    /// `/service/default/default`.
    pub root: String,
}

impl Default for GoFrame {
    fn default() -> Self {
        Self {
            root: "/service/default/default".to_owned(),
        }
    }
}

impl Codec for GoFrame {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("goframe"))
    }

    fn decode(
        &self,
        service: &str,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Decoded>, CodecError> {
        let rest = key.strip_prefix(&self.prefix(service));
        let Some((version, addresses)) = rest.and_then(|rest| rest.split_once('/')) else {
            return Ok(None);
        };
        if addresses.contains('/') {
            return Ok(None);
        }
        read(version, addresses, value).map(Some)
    }
}

/// What the end of a key and its value say.
pub(super) fn read(version: &str, addresses: &str, value: &[u8]) -> Result<Decoded, CodecError> {
    const EXPECTED: CodecError = CodecError::field("key", "an address host:port");
    let mut said = Said::default();
    if !value.is_empty() {
        let fields = Fields::read(value)?;
        if fields.text("protocol").is_some_and(|it| it != "grpc") {
            return Err(CodecError::field("protocol", "grpc"));
        }
        said.add(Some(&fields.into_value()));
    }
    said.metadata.version = Some(version.to_owned());
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for text in addresses.split(',') {
        match address("key", text) {
            Ok(address) => good.push(address),
            Err(error) => bad.push(error),
        }
    }
    match Endpoint::with_addresses(good) {
        Ok(endpoint) => {
            for error in bad {
                said.remark(shown(&error.to_string()));
            }
            Ok(said.of(endpoint))
        }
        Err(_) => Err(bad.into_iter().next().unwrap_or(EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(rest: &str, value: &str) -> Result<Option<Decoded>, CodecError> {
        let key = format!("/service/default/default/user/{rest}");
        GoFrame::default().decode("user", &key, value.as_bytes())
    }

    #[test]
    fn addresses_and_version_are_in_the_key() {
        let decoded = decode("v1.2/10.0.0.5:9000,172.17.0.2:9000", "")
            .unwrap()
            .unwrap();
        let addresses = decoded.endpoint.addresses().iter().map(ToString::to_string);
        assert!(addresses.eq(["10.0.0.5:9000", "172.17.0.2:9000"]));
        assert_eq!(decoded.endpoint.metadata().version.as_deref(), Some("v1.2"));
    }

    #[test]
    fn an_address_that_cannot_be_dialled_costs_itself() {
        let decoded = decode("v1/0.0.0.0:9000,10.0.0.5:9000", "")
            .unwrap()
            .unwrap();
        assert_eq!(decoded.endpoint.to_string(), "10.0.0.5:9000");
        assert!(decoded.remark.unwrap().contains("can be dialled"));
    }

    #[test]
    fn other_protocols_and_bad_values_are_refused_with_the_reason() {
        for (rest, value, why) in [
            (
                "latest/10.0.0.5:9000",
                r#"{"protocol":"http"}"#,
                "protocol: expected grpc",
            ),
            ("latest/10.0.0.5:9000", "[]", "an object"),
            ("latest/10.0.0.5", "", "port is missing"),
            ("latest/", "", "port is missing"),
            ("latest/0.0.0.0:9000", "", "can be dialled"),
        ] {
            let error = decode(rest, value).unwrap_err().to_string();
            assert!(error.contains(why), "{rest} {value}: {error}");
        }
    }

    #[test]
    fn keys_of_another_depth_are_another_s() {
        assert_eq!(decode("10.0.0.5:9000", "").unwrap(), None);
        assert_eq!(decode("admin/latest/10.0.0.5:9000", "").unwrap(), None);
    }
}
