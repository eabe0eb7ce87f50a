//! Values that are JSON, read as Go's `encoding/json` reads them.

use std::fmt;

use evenkeel_core::{Address, Endpoint};
use serde_json::{Map, Value};

use super::{CodecError, key};

/// A JSON object. Field names are matched without regard to case, and null is no value.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn read(value: &[u8]) -> Result<Self, CodecError> {
        // A byte that is no UTF-8 costs the character, as in Go, and not the server.
        let value = String::from_utf8_lossy(value);
        match serde_json::from_str(&value).map_err(CodecError::Json)? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(CodecError::field("value", "an object")),
        }
    }

    /// The field called `name`. The exact name goes before others that only differ in case, of which
    /// there should be none: Go takes the last one of them in the document, and that is not known here.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        let similar = || {
            let similar = self.0.iter();
            let similar = similar.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            similar.max_by_key(|(key, _)| *key)
        };
        let exact = self.0.get(name);
        let found = exact.or_else(|| similar().map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    /// Whether the field called `field`, which has a service's name, says that it is `service`.
    pub(super) fn is_of(&self, field: &'static str, service: &str) -> Result<bool, CodecError> {
        match self.text(field) {
            Some(name) => Ok(name == key::name(service)),
            None => Err(CodecError::field(field, "the service's name")),
        }
    }

    /// A JSON object within another.
    pub(super) fn of(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self)
    }

    /// All of it.
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// A number of weight that is more than 0, or what is meant without one.
    pub(super) fn weight_or(&self, name: &str, default: f64) -> f64 {
        let weight = self.field(name).and_then(Value::as_f64);
        weight.filter(|weight| *weight > 0.0).unwrap_or(default)
    }

    /// A text that may be missing; one that is empty is.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.field(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }
}

/// The beginning of what somebody has written, for messages: values may have a megabyte.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An address that can be dialled.
pub(super) fn address(field: &'static str, text: &str) -> Result<Address, CodecError> {
    /// More than any host name or path of a socket has.
    const LONGEST: usize = 512;
    if text.len() > LONGEST {
        return Err(CodecError::field(field, "an address of at most 512 bytes"));
    }
    let address: Address = text.parse().map_err(CodecError::Address)?;
    if address.is_unspecified() {
        return Err(CodecError::unspecified(field, address));
    }
    Ok(address)
}

/// An address of a host and a port that are written apart.
pub(super) fn host_port(
    field: &'static str,
    host: &str,
    port: impl fmt::Display,
) -> Result<Address, CodecError> {
    if host.contains(':') && !host.starts_with('[') {
        return address(field, &format!("[{host}]:{port}"));
    }
    address(field, &format!("{host}:{port}"))
}

/// The one address of an endpoint that has nothing else formats have no place for.
pub(super) fn one_address(endpoint: &Endpoint) -> Result<&Address, CodecError> {
    let [address] = endpoint.addresses() else {
        return Err(CodecError::no_place("a second address"));
    };
    if endpoint.authority().is_some() {
        return Err(CodecError::no_place("an authority"));
    }
    Ok(address)
}
