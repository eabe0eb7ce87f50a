use evenkeel_core::{Availability, Endpoint};
use serde_json::Value;

use super::fields::{Fields, address};
use super::metadata::Said;
use super::{Codec, CodecError, Decoded, key};

/// The layout of fyer-rpc; read only.
///
/// | key | value |
/// |---|---|
/// | `/fyerrpc/services/user-service/1.0.0/<id>` | `{"id":"<id>","service":"user-service","version":"1.0.0","address":"10.0.0.5:8001","metadata":{},"status":1,"updated_at":1744374219}` |
///
/// - Servers of all versions are found; the version is in their metadata, to be filtered or routed
///   by. Values of another `service` are not its own.
/// - `status` 0 is [`Availability::Down`].
/// - `metadata` is understood as [that of the Go client](super::GoEndpoints).
/// - fyer-rpc's servers speak a protocol of their own; this is for those that listen for gRPC.
#[derive(Clone, Debug)]
pub struct FyerRpc {
    /// What keys begin with. Default `/fyerrpc/services`.
    pub root: String,
}

impl Default for FyerRpc {
    fn default() -> Self {
        Self {
            root: "/fyerrpc/services".to_owned(),
        }
    }
}

impl Codec for FyerRpc {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("fyer"))
    }

    fn decode(&self, service: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        if !fields.is_of("service", service)? {
            return Ok(None);
        }
        read(&fields).map(Some)
    }
}

/// What a value says, whosever it is.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    let Some(text) = fields.text("address") else {
        return Err(CodecError::field("address", "a string host:port"));
    };
    let endpoint = Endpoint::new(address("address", text)?);
    let mut said = Said::read(fields.field("metadata"));
    if let Some(version) = fields.text("version") {
        said.metadata.version = Some(version.to_owned());
    }
    match fields.field("status").map(Value::as_i64) {
        Some(Some(0)) => said.metadata.availability = Availability::Down,
        None | Some(Some(1)) => {}
        Some(_) => said.remark("status is neither 0 nor 1".to_owned()),
    }
    Ok(said.of(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(service: &str, more: &str) -> Option<Decoded> {
        let value = format!(r#"{{"service":"user","address":"10.0.0.5:8001"{more}}}"#);
        let key = "/fyerrpc/services/user/1.0.0/1";
        let decoded = FyerRpc::default().decode(service, key, value.as_bytes());
        decoded.unwrap()
    }

    #[test]
    fn status_zero_is_down() {
        for (status, availability, is_fine) in [
            ("0", Availability::Down, true),
            ("1", Availability::Up, true),
            ("2", Availability::Up, false),
            (r#""up""#, Availability::Up, false),
        ] {
            let decoded = decode("user", &format!(r#","status":{status}"#)).unwrap();
            assert_eq!(
                decoded.endpoint.metadata().availability,
                availability,
                "{status}"
            );
            assert_eq!(decoded.remark.is_none(), is_fine, "{status}");
        }
    }

    #[test]
    fn the_time_of_a_heartbeat_is_no_change() {
        let at = |time: u32| decode("user", &format!(r#","updated_at":{time}"#));
        assert_eq!(at(1), at(2));
    }

    #[test]
    fn version_and_metadata_are_kept_and_another_service_s_values_are_not() {
        let decoded = decode("user", r#","version":"1.0.0","metadata":{"weight":"3"}"#).unwrap();
        let metadata = decoded.endpoint.metadata();
        assert_eq!(
            (metadata.weight, metadata.version.as_deref()),
            (Some(3.0), Some("1.0.0"))
        );
        assert_eq!(decode("user/1.0.0", ""), None);
    }
}
