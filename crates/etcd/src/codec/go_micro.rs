use evenkeel_core::Endpoint;
use serde_json::Value;

use super::fields::{Fields, address, host_port};
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// The layout of go-micro (`registry/etcd`), versions 2, 4 and 5; read only. Version 3 has a domain
/// in its keys, see [`Self::root`].
///
/// | key | value |
/// |---|---|
/// | `/micro/registry/greeter/greeter-<uuid>` | `{"name":"greeter","version":"latest","metadata":null,"endpoints":[…],"nodes":[{"id":"greeter-<uuid>","address":"10.0.0.5:41321","metadata":{"protocol":"grpc"}}]}` |
///
/// - A slash in the service's name is a `-` in keys. Values with another `name` are not its own.
/// - The server is the first of `nodes` that speaks gRPC, or does not say what it speaks; one of
///   other protocols (`mucp`, `http`) is skipped. go-micro writes one node per key; further ones
///   are left out with a remark.
/// - `metadata` of the service and then of the node are understood as [that of the Go
///   client](super::GoEndpoints).
#[derive(Clone, Debug)]
pub struct GoMicro {
    /// What keys begin with. Default `/micro/registry`; of version 3, and of micro itself, which
    /// have a domain there, `/micro/registry/micro`.
    pub root: String,
}

impl Default for GoMicro {
    fn default() -> Self {
        Self {
            root: "/micro/registry".to_owned(),
        }
    }
}

impl Codec for GoMicro {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, &key::name(service).replace('/', "-"))
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("go-micro"))
    }

    fn decode(&self, service: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        if !fields.is_of("name", service)? {
            return Ok(None);
        }
        read(&fields).map(Some)
    }
}

/// What a value says, whosever it is.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    const EXPECTED: CodecError = CodecError::field("nodes", "one that speaks grpc");
    let nodes = fields.field("nodes").and_then(Value::as_array);
    let nodes = nodes.into_iter().flatten().filter_map(Fields::of);
    let mut grpc = nodes.filter(speaks_grpc);
    let first = grpc.next().ok_or(EXPECTED)?;
    let Some(text) = first.text("address") else {
        return Err(CodecError::field("address", "a string host:port"));
    };
    let address = match first.field("port").and_then(Value::as_u64) {
        // As version 1 has it.
        Some(port) if port > 0 => host_port("address", text, port)?,
        _ => address("address", text)?,
    };
    let mut said = Said::read(fields.field("metadata"));
    said.add(first.field("metadata"));
    if let Some(version) = fields.text("version") {
        said.metadata.version = Some(version.to_owned());
    }
    let more = grpc.count();
    if more > 0 {
        said.remark(format!("nodes has {more} more, and one key is one server"));
    }
    Ok(said.of(Endpoint::new(address)))
}

fn speaks_grpc(node: &Fields) -> bool {
    let metadata = node.field("metadata").and_then(Fields::of);
    let protocol = metadata.as_ref().and_then(|it| it.text("protocol"));
    protocol.is_none_or(|protocol| protocol == "grpc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(nodes: &str) -> Result<Option<Decoded>, CodecError> {
        let value = format!(
            r#"{{"name":"a/b","version":"1.2","metadata":{{"zone":"a","team":"x"}},"nodes":{nodes}}}"#
        );
        GoMicro::default().decode("a/b", "/micro/registry/a-b/a-b-1", value.as_bytes())
    }

    #[test]
    fn a_slash_in_a_name_is_a_dash_in_keys() {
        assert_eq!(GoMicro::default().prefix("a/b"), "/micro/registry/a-b/");
        let value = br#"{"name":"a-b","nodes":[{"address":"10.0.0.5:1"}]}"#;
        let other = GoMicro::default().decode("a/b", "/micro/registry/a-b/a-b-1", value);
        assert_eq!(
            other.unwrap(),
            None,
            "it shares the key's beginning, not the name"
        );
    }

    #[test]
    fn the_domain_of_version_three_is_a_part_of_the_root() {
        let go_micro = GoMicro {
            root: "/micro/registry/micro".into(),
        };
        let key = "/micro/registry/micro/greeter/greeter-1";
        assert!(key.starts_with(&go_micro.prefix("greeter")));
        let value = br#"{"name":"greeter","nodes":[{"address":"10.0.0.5:1"}]}"#;
        let decoded = go_micro.decode("greeter", key, value).unwrap().unwrap();
        assert_eq!(decoded.endpoint.to_string(), "10.0.0.5:1");
    }

    #[test]
    fn metadata_of_service_and_node_are_one() {
        let decoded = decode(
            r#"[{"address":"10.0.0.5:1","metadata":{"protocol":"grpc","weight":"3","team":"y"}}]"#,
        );
        let decoded = decoded.unwrap().unwrap();
        let metadata = decoded.endpoint.metadata();
        assert_eq!(
            (metadata.weight, metadata.zone.as_deref()),
            (Some(3.0), Some("a"))
        );
        assert_eq!(metadata.version.as_deref(), Some("1.2"));
        assert_eq!(metadata.other["team"], "y");
        assert_eq!(decoded.remark, None);
    }

    #[test]
    fn the_first_node_that_speaks_grpc_is_the_server() {
        let decoded = decode(
            r#"[{"address":"10.0.0.5:1","metadata":{"protocol":"mucp"}},
                {"address":"10.0.0.5","port":2},{"address":"10.0.0.5:3"}]"#,
        );
        let decoded = decoded.unwrap().unwrap();
        assert_eq!(decoded.endpoint.to_string(), "10.0.0.5:2");
        assert!(decoded.remark.unwrap().starts_with("nodes has 1 more"));
        for nodes in [
            "null",
            "[]",
            r#"[{"address":"10.0.0.5:1","metadata":{"protocol":"http"}}]"#,
        ] {
            assert!(
                decode(nodes)
                    .unwrap_err()
                    .to_string()
                    .contains("speaks grpc"),
                "{nodes}"
            );
        }
    }
}
