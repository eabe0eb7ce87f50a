use evenkeel_core::{Availability, Endpoint};

use super::fields::address;
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// The layout of rpcx (`rpcx-etcd`), version 3 of etcd's API; read only.
///
/// | key | value |
/// |---|---|
/// | `/rpcx/Arith/tcp@10.0.0.5:8972` | `weight=10&state=active&calls=12.30` |
///
/// - Only `tcp@` and `unix@` can be dialled here; servers of other networks are skipped. rpcx' own
///   protocol is not gRPC: this is for servers that listen for both.
/// - `state=inactive` is [`Availability::Down`].
/// - The rest of the value is understood as [the metadata of the Go client](super::GoEndpoints),
///   but for the counters that rpcx writes at intervals: `calls` and `connections` are no change.
#[derive(Clone, Debug)]
pub struct Rpcx {
    /// What keys begin with: rpcx' `BasePath`. Default `/rpcx`.
    pub root: String,
}

impl Default for Rpcx {
    fn default() -> Self {
        Self {
            root: "/rpcx".to_owned(),
        }
    }
}

impl Codec for Rpcx {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("rpcx"))
    }

    fn decode(
        &self,
        service: &str,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Decoded>, CodecError> {
        match key.strip_prefix(&self.prefix(service)) {
            // The path of a socket has slashes, and nothing else has.
            Some(rest) if rest.starts_with("unix@") || !rest.contains('/') => {
                read(rest, value).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// What the end of a key and its value say.
pub(super) fn read(server: &str, value: &[u8]) -> Result<Decoded, CodecError> {
    let endpoint = match server.split_once('@') {
        Some(("unix", path)) => address("key", &format!("unix:{path}"))?,
        Some(("tcp", text)) => address("key", text)?,
        _ => return Err(CodecError::field("key", "tcp@host:port")),
    };
    let mut said = Said::default();
    let mut is_down = false;
    for (name, value) in key::query(&String::from_utf8_lossy(value)) {
        match name.as_str() {
            "state" => is_down = value == "inactive",
            "calls" | "connections" => {}
            _ => said.add_field(&name, &value.into()),
        }
    }
    if is_down {
        said.metadata.availability = Availability::Down;
    }
    Ok(said.of(Endpoint::new(endpoint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(rest: &str, value: &str) -> Result<Option<Decoded>, CodecError> {
        Rpcx::default().decode("Arith", &format!("/rpcx/Arith/{rest}"), value.as_bytes())
    }

    #[test]
    fn counters_are_no_change_and_an_inactive_server_is_down() {
        let with = |value| decode("tcp@10.0.0.5:8972", value).unwrap().unwrap();
        assert_eq!(with("calls=1&connections=2"), with("calls=3&connections=4"));
        let decoded = with("state=inactive&group=a%2Fb");
        let metadata = decoded.endpoint.metadata();
        assert_eq!(metadata.availability, Availability::Down);
        assert_eq!(metadata.other["group"], "a/b");
        assert_eq!(with(""), with("state=active"));
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_and_what_is_below_is_another_s() {
        for rest in ["quic@10.0.0.5:8972", "10.0.0.5:8972", ""] {
            let error = decode(rest, "").unwrap_err().to_string();
            assert!(error.contains("tcp@host:port"), "{rest}: {error}");
        }
        let socket = decode("unix@/run/arith.sock", "").unwrap().unwrap();
        assert_eq!(socket.endpoint.to_string(), "unix:///run/arith.sock");
        assert_eq!(decode("Sub/tcp@10.0.0.5:8972", "").unwrap(), None);
    }
}
