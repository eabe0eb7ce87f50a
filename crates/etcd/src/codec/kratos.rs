use evenkeel_core::{Address, Endpoint};
use serde_json::Value;

use super::fields::{Fields, address, one_address};
use super::metadata::{Said, write_texts};
use super::{Codec, CodecError, Decoded, key};

/// The layout of Kratos (`contrib/registry/etcd`), read and written.
///
/// | key | value |
/// |---|---|
/// | `/microservices/helloworld/<id>` | `{"id":"<id>","name":"helloworld","version":"v1.0.0","metadata":{"weight":"100"},"endpoints":["http://10.0.0.5:8000","grpc://10.0.0.5:9000"]}` |
///
/// - Only values whose `name` is exactly the service are its own, as for Kratos.
/// - Of `endpoints` the first of the wanted kind counts, see [`Self::tls`]; `http://` does not.
/// - `metadata` is a map of texts; it is understood as [that of the Go client](super::GoEndpoints).
///   Without a weight there, a server has the weight 100, as for Kratos.
///
/// Written with the server's address as its id, so that one that starts again takes its old key;
/// Kratos itself draws a UUID at each start, and its clients do not look at it. Weights have to
/// be whole numbers, because Kratos reads others as 100.
#[derive(Clone, Debug)]
pub struct Kratos {
    /// What keys begin with: Kratos' `Namespace`. Default `/microservices`; with an empty one they
    /// are `/helloworld/<id>`.
    pub root: String,
    /// Whether `grpcs://` is taken of a server that has both, and `grpc://` otherwise. Default no.
    ///
    /// A server that has only the other one is taken with that and a remark: Kratos itself skips it,
    /// and calls reach it only if the channel happens to speak what it does. What has TLS says so in
    /// [`Metadata::other`](evenkeel_core::Metadata::other) as `"scheme": "grpcs"`, and is written
    /// as `grpcs://` if it says so; a channel speaks TLS to all of its endpoints or to none.
    /// `grpc://…?isSecure=true`, which older versions write, is `grpcs://`.
    pub tls: bool,
}

impl Default for Kratos {
    fn default() -> Self {
        Self {
            root: "/microservices".to_owned(),
            tls: false,
        }
    }
}

/// The name of the metadata that says whether a server has TLS, and what it says then.
const TLS: (&str, &str) = ("scheme", "grpcs");

impl Codec for Kratos {
    fn prefix(&self, service: &str) -> String {
        key::under(&self.root, service)
    }

    fn encode(&self, service: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError> {
        let address = one_address(endpoint)?;
        if matches!(address, Address::Unix(_) | Address::UnixAbstract(_)) {
            return Err(CodecError::no_place("a Unix socket"));
        }
        let mut metadata = endpoint.metadata().clone();
        let is_whole = |weight: f64| weight.fract() == 0.0 && weight <= f64::from(u32::MAX);
        if !metadata.weight.is_none_or(is_whole) {
            return Err(CodecError::no_place("a weight that is no whole number"));
        }
        let version = Value::from(metadata.version.take().unwrap_or_default());
        let scheme = metadata.other.get(TLS.0).map(String::as_str);
        let scheme = if scheme == Some(TLS.1) {
            metadata.other.remove(TLS.0);
            TLS.1
        } else {
            "grpc"
        };
        let (name, id) = (
            Value::from(key::name(service)),
            Value::from(address.to_string()),
        );
        let metadata = Value::Object(write_texts(&metadata)?);
        let url = Value::from(format!("{scheme}://{address}"));
        // By hand, because Go's fields come in this order.
        let value = format!(
            r#"{{"id":{id},"name":{name},"version":{version},"metadata":{metadata},"endpoints":[{url}]}}"#
        );
        Ok(value.into_bytes())
    }

    fn decode(&self, service: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        if !fields.is_of("name", service)? {
            return Ok(None);
        }
        read(&fields, self.tls).map(Some)
    }
}

/// What a value says, whosever it is.
pub(super) fn read(fields: &Fields, tls: bool) -> Result<Decoded, CodecError> {
    const EXPECTED: CodecError = CodecError::field("endpoints", "a URL grpc:// or grpcs://");
    let Some(Value::Array(urls)) = fields.field("endpoints") else {
        return Err(EXPECTED);
    };
    let urls: Vec<_> = urls.iter().filter_map(|url| grpc(url.as_str()?)).collect();
    let wanted = urls.iter().find(|(secure, _)| *secure == tls);
    let (secure, authority) = wanted.or(urls.first()).ok_or(EXPECTED)?;
    let endpoint = Endpoint::new(address("endpoints", authority)?);
    let mut said = Said::read(fields.field("metadata"));
    said.metadata.weight.get_or_insert(100.0);
    if let Some(version) = fields.text("version") {
        said.metadata.version = Some(version.to_owned());
    }
    if *secure {
        let (name, value) = TLS;
        said.metadata
            .other
            .insert(name.to_owned(), value.to_owned());
    }
    if *secure != tls {
        let [wanted, found] = if tls {
            ["grpcs", "grpc"]
        } else {
            ["grpc", "grpcs"]
        };
        said.remark(format!("endpoints has no {wanted}:// URL, only {found}://"));
    }
    Ok(said.of(endpoint))
}

/// Whether a URL says TLS, and its `host:port`; none of another protocol.
fn grpc(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    match scheme {
        "grpcs" => Some((true, authority)),
        // As Go's `strconv.ParseBool` has it.
        "grpc" => {
            let secure = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("isSecure="));
            let mut is_true =
                secure.map(|value| matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"));
            Some((is_true.next().unwrap_or(false), authority))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
