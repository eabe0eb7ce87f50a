mod interface;

pub use interface::DubboInterface;
pub(super) use interface::read as read_url;

use evenkeel_core::{Availability, Endpoint};
use serde_json::Value;

use super::fields::{Fields, host_port};
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// What a server has when nothing else is said of it; dubbo-go's `DefaultWeight`.
const WEIGHT: f64 = 100.0;
/// The protocols that a gRPC client can call: Triple, and gRPC itself.
const PROTOCOLS: [&str; 2] = ["tri", "grpc"];

/// The layout of dubbo-go's service discovery by application (`registry/etcdv3`); read only.
///
/// | key | value |
/// |---|---|
/// | `/services/user-app/10.0.0.5:20000` | `{"ID":"…","ServiceName":"user-app","Host":"10.0.0.5","Port":20000,"Weight":100,"Enable":true,"Healthy":true,"Metadata":{…},"Address":"…","Tag":""}` |
///
/// - The service is the application. Only values whose `ServiceName` it is are its own.
/// - The port is that of `tri` or `grpc` in `Metadata["dubbo.endpoints"]`, a list
///   `[{"port":20000,"protocol":"tri"}]`, and `Port` if there is no list. A server that has only
///   other protocols is skipped.
/// - `Enable` or `Healthy` being false is [`Availability::Down`].
/// - A weight that is missing or not more than 0 is 100, as for dubbo-go; `Tag` is a tag.
#[derive(Clone, Debug)]
pub struct Dubbo {
    /// What keys begin with. Default `/services`.
    pub root: String,
}

impl Default for Dubbo {
    fn default() -> Self {
        Self {
            root: "/services".to_owned(),
        }
    }
}

impl Codec for Dubbo {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("dubbo"))
    }

    fn decode(&self, service: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        if !fields.is_of("ServiceName", service)? {
            return Ok(None);
        }
        read(&fields).map(Some)
    }
}

/// What a value says, whosever it is.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    const ENDPOINTS: &str = "dubbo.endpoints";
    let Some(host) = fields.text("Host") else {
        return Err(CodecError::field("Host", "a host name or an IP address"));
    };
    let mut said = Said::read(fields.field("Metadata"));
    let endpoints = said.metadata.other.remove(ENDPOINTS);
    let endpoints = endpoints.as_deref().map(serde_json::from_str::<Vec<Value>>);
    let port = match endpoints {
        Some(Ok(endpoints)) if !endpoints.is_empty() => port(&endpoints)?,
        Some(Err(error)) => {
            said.remark(format!("{ENDPOINTS} is not JSON: {error}"));
            fields.field("Port").cloned()
        }
        _ => fields.field("Port").cloned(),
    };
    let port = port.as_ref().and_then(Value::as_u64);
    let port = port.ok_or(CodecError::field("Port", "a number"))?;
    let address = host_port("Port", host, port)?;
    said.metadata.weight = Some(fields.weight_or("Weight", WEIGHT));
    said.metadata
        .tags
        .extend(fields.text("Tag").map(ToOwned::to_owned));
    let is_false = |name| fields.field(name) == Some(&Value::Bool(false));
    if is_false("Enable") || is_false("Healthy") {
        said.metadata.availability = Availability::Down;
    }
    Ok(said.of(Endpoint::new(address)))
}

/// The port of the first that speaks gRPC.
fn port(endpoints: &[Value]) -> Result<Option<Value>, CodecError> {
    let endpoints = endpoints.iter().filter_map(Fields::of);
    let mut grpc = endpoints.filter(|endpoint| {
        let protocol = endpoint.text("protocol");
        protocol.is_some_and(|protocol| PROTOCOLS.contains(&protocol))
    });
    let Some(first) = grpc.next() else {
        let expected = "an endpoint with the protocol tri or grpc";
        return Err(CodecError::field("dubbo.endpoints", expected));
    };
    Ok(first.field("port").cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(service: &str, more: &str) -> Result<Option<Decoded>, CodecError> {
        let value = format!(
            r#"{{"ID":"10.0.0.5:20000","ServiceName":"user-app","Host":"10.0.0.5","Port":20000{more}}}"#
        );
        let key = "/services/user-app/10.0.0.5:20000";
        Dubbo::default().decode(service, key, value.as_bytes())
    }

    fn with(more: &str) -> Decoded {
        decode("user-app", more).unwrap().unwrap()
    }

    #[test]
    fn the_port_is_that_of_triple() {
        let endpoints =
            |list: &str| format!(r#","Metadata":{{"dubbo.endpoints":{}}}"#, Value::from(list));
        for (list, address) in [
            (
                r#"[{"port":20000,"protocol":"dubbo"},{"port":50051,"protocol":"tri"}]"#,
                "10.0.0.5:50051",
            ),
            (r#"[{"port":20001,"protocol":"grpc"}]"#, "10.0.0.5:20001"),
            ("[]", "10.0.0.5:20000"),
        ] {
            let decoded = with(&endpoints(list));
            assert_eq!(decoded.endpoint.to_string(), address);
            assert_eq!(
                (decoded.remark, &decoded.endpoint.metadata().other),
                (None, &[].into())
            );
        }
        let decoded = with(&endpoints("oops"));
        assert_eq!(decoded.endpoint.to_string(), "10.0.0.5:20000");
        assert!(decoded.remark.unwrap().starts_with("dubbo.endpoints"));
        let other = decode("user-app", &endpoints(r#"[{"port":1,"protocol":"rest"}]"#));
        assert!(other.unwrap_err().to_string().contains("tri or grpc"));
    }

    #[test]
    fn what_is_disabled_or_ill_is_down() {
        let availability = |more| with(more).endpoint.metadata().availability;
        assert_eq!(
            availability(r#","Enable":true,"Healthy":true"#),
            Availability::Up
        );
        assert_eq!(availability(""), Availability::Up);
        assert_eq!(
            availability(r#","Enable":false,"Healthy":true"#),
            Availability::Down
        );
        assert_eq!(
            availability(r#","Enable":true,"Healthy":false"#),
            Availability::Down
        );
    }

    #[test]
    fn weight_tag_and_metadata_are_understood() {
        let decoded = with(
            r#","Weight":0,"Tag":"gray","Metadata":{"zone":"a","dubbo.metadata.revision":"7"}"#,
        );
        let metadata = decoded.endpoint.metadata();
        assert_eq!(
            (metadata.weight, &metadata.tags[..]),
            (Some(100.0), &["gray".to_owned()][..])
        );
        assert_eq!(metadata.zone.as_deref(), Some("a"));
        assert_eq!(metadata.other["dubbo.metadata.revision"], "7");
        assert_eq!(with(r#","weight":5"#).endpoint.metadata().weight, Some(5.0));
    }

    #[test]
    fn another_application_s_values_are_not_its_own() {
        assert_eq!(decode("user", "").unwrap(), None);
        assert_eq!(decode("/user-app/", "").unwrap(), Some(with("")));
    }
}
