use evenkeel_core::{Address, Endpoint};
use serde_json::{Map, Value};

use super::metadata;
use super::{Codec, CodecError, Decoded};

/// The layout of etcd's Go client (`go.etcd.io/etcd/client/v3/naming/endpoints`), which grpc-go's
/// etcd resolver reads.
///
/// | key | value |
/// |---|---|
/// | `service/user/127.0.0.1:8090` | `{"Op":0,"Addr":"127.0.0.1:8090","Metadata":{"weight":10}}` |
///
/// Written exactly so. Read as people write it: `Op` may be missing, field names are matched
/// without regard to case (as Go does), the part of the key after the service is free text, and
/// `Metadata` is any JSON:
///
/// | in `Metadata` | becomes |
/// |---|---|
/// | `weight`: number, or a string with one | [`Metadata::weight`](evenkeel_core::Metadata::weight) |
/// | `version`, `zone`, `region`: string or number | the field of that name |
/// | `status`: `up`, `draining`, `down` | [`Metadata::availability`](evenkeel_core::Metadata::availability) |
/// | `tags`: list of strings, or one string with commas | [`Metadata::tags`](evenkeel_core::Metadata::tags) |
/// | any other string, number or boolean | [`Metadata::other`](evenkeel_core::Metadata::other) |
/// | a string that is itself a JSON object | what is in it |
/// | any other string, number or boolean instead of an object | `other["metadata"]` |
///
/// A value that makes no sense (`"weight":"heavy"`) is left out with a remark, and the endpoint
/// is used without it.
///
/// The format holds one address per endpoint and no `:authority`; an endpoint that has more
/// cannot be written.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GoEndpoints;

impl Codec for GoEndpoints {
    fn key(&self, service: &str, endpoint: &Endpoint) -> String {
        format!("{}{endpoint}", self.prefix(service))
    }

    fn encode(&self, _: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError> {
        let [address] = endpoint.addresses() else {
            return Err(CodecError::no_place("a second address"));
        };
        if endpoint.authority().is_some() {
            return Err(CodecError::no_place("an authority"));
        }
        // By hand, because Go's fields come in this order.
        let address = Value::from(address.to_string());
        let metadata = metadata::write(endpoint.metadata());
        Ok(format!(r#"{{"Op":0,"Addr":{address},"Metadata":{metadata}}}"#).into_bytes())
    }

    fn decode(&self, _: &str, value: &[u8]) -> Result<Decoded, CodecError> {
        let value: Value = serde_json::from_slice(value).map_err(CodecError::Json)?;
        let Value::Object(fields) = value else {
            return Err(CodecError::field("value", "an object"));
        };
        let Some(Value::String(address)) = field(&fields, "Addr") else {
            return Err(CodecError::field("Addr", "a string host:port"));
        };
        let address: Address = address.parse().map_err(CodecError::Address)?;
        if address.is_unspecified() {
            return Err(CodecError::field("Addr", "an address that can be dialled"));
        }
        let metadata = field(&fields, "Metadata").unwrap_or(&Value::Null);
        let (metadata, remark) = metadata::read(metadata);
        Ok(Decoded {
            endpoint: Endpoint::new(address).with_metadata(metadata),
            remark,
        })
    }
}

/// The field called `name`, in any case; the exact name first, as Go prefers it.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let similar = || {
        let mut similar = fields.iter();
        similar.find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    fields
        .get(name)
        .or_else(|| similar().map(|(_, value)| value))
}

#[cfg(test)]
mod tests;
