use evenkeel_core::Endpoint;
use serde_json::Value;

use super::fields::{self, Fields};
use super::metadata::{self, Said};
use super::{Codec, CodecError, Customs, Decoded};

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
/// | anything else | [`Metadata::other`](evenkeel_core::Metadata::other), a list or an object as JSON |
/// | a string that is itself a JSON object, instead of one | what is in it |
/// | anything else instead of an object | `other["metadata"]` |
///
/// A value that makes no sense (`"weight":"heavy"`) is left out with a remark, and the endpoint
/// is used without it.
///
/// The format holds one address per endpoint and no `:authority`; an endpoint that has more
/// cannot be written, and neither can other metadata that is called as one of the fields above.
///
/// etcd's own documentation has the example `{"Addr":"1.2.3.4"}`, without a port: nobody can dial
/// that, and it is skipped.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GoEndpoints;

impl Codec for GoEndpoints {
    fn encode(&self, _: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError> {
        let address = fields::one_address(endpoint)?;
        // By hand, because Go's fields come in this order.
        let address = Value::from(address.to_string());
        let metadata = metadata::write(endpoint.metadata())?;
        Ok(format!(r#"{{"Op":0,"Addr":{address},"Metadata":{metadata}}}"#).into_bytes())
    }

    fn decode(&self, _: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        read(&Fields::read(value)?).map(Some)
    }

    fn customs(&self) -> Customs {
        Customs {
            matches_bare_names: true,
            ..Customs::default()
        }
    }
}

/// What a value says.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    let Some(Value::String(address)) = fields.field("Addr") else {
        return Err(CodecError::field("Addr", "a string host:port"));
    };
    let endpoint = Endpoint::new(fields::address("Addr", address)?);
    Ok(Said::read(fields.field("Metadata")).of(endpoint))
}

#[cfg(test)]
mod tests;
