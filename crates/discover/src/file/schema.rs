use std::collections::BTreeMap;
use std::fmt;

use evenkeel_core::{Address, Availability, BoxError, Endpoint, Metadata};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Why a file gives no list of endpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    /// It is longer than any list of endpoints.
    #[error("it is longer than {limit} bytes")]
    #[non_exhaustive]
    TooLong {
        /// What it may have.
        limit: u64,
    },
    /// It has nothing in it, as while it is being written.
    #[error("it is empty")]
    Blank,
    /// It is no list of endpoints; the text says where.
    #[error(transparent)]
    Parse(BoxError),
    /// It has no list for the service that is asked for.
    #[error("it has no service {service:?}; it has {known}")]
    #[non_exhaustive]
    NoService {
        /// What was asked for.
        service: String,
        /// What there is, for the text.
        known: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
}

/// The endpoints in a file: those of `service`, or those of nobody in particular.
pub(super) fn parse(
    text: &[u8],
    format: Format,
    service: Option<&str>,
) -> Result<Vec<Endpoint>, FileError> {
    if text.trim_ascii().is_empty() {
        return Err(FileError::Blank);
    }
    let file: File = match format {
        Format::Json => {
            serde_json::from_slice(text).map_err(|error| FileError::Parse(error.into()))?
        }
        Format::Yaml => {
            serde_norway::from_slice(text).map_err(|error| FileError::Parse(error.into()))?
        }
    };
    let list = match service {
        None => file.endpoints,
        Some(service) => file.services.get(service).cloned(),
    };
    let list = list.ok_or_else(|| {
        let mut known: Vec<_> = file
            .services
            .keys()
            .map(|name| format!("{name:?}"))
            .collect();
        known.truncate(10);
        FileError::NoService {
            service: service.unwrap_or("endpoints").to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        }
    })?;
    Ok(list.into_iter().map(|Item(endpoint)| endpoint).collect())
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map with `endpoints` or `services`"
)]
struct File {
    endpoints: Option<Vec<Item>>,
    #[serde(default)]
    services: BTreeMap<String, Vec<Item>>,
}

/// An address, or a map with more than that.
#[derive(Clone)]
struct Item(Endpoint);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an address, or a map with one")]
struct Fields {
    address: Option<Text>,
    addresses: Option<Vec<Text>>,
    authority: Option<String>,
    weight: Option<Weight>,
    version: Option<String>,
    zone: Option<String>,
    region: Option<String>,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    other: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Up,
    Draining,
    Down,
}

/// An address that can be dialled.
struct Text(Address);

/// Finite, and not negative.
struct Weight(f64);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a map with one")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
                Ok(Item(Endpoint::new(address(text)?)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
                fields.endpoint().map(Item)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Fields {
    fn endpoint<E: Error>(self) -> Result<Endpoint, E> {
        let addresses = match (self.address, self.addresses) {
            (Some(address), None) => vec![address],
            (None, Some(addresses)) => addresses,
            (Some(_), Some(_)) => {
                return Err(E::custom("either `address` or `addresses`, not both"));
            }
            (None, None) => return Err(E::missing_field("address")),
        };
        let addresses = addresses.into_iter().map(|Text(address)| address);
        let mut endpoint = Endpoint::with_addresses(addresses).map_err(E::custom)?;
        if let Some(authority) = self.authority {
            endpoint = endpoint.with_authority(authority);
        }
        let mut metadata = Metadata::default().with_availability(match self.status {
            Status::Up => Availability::Up,
            Status::Draining => Availability::Draining,
            Status::Down => Availability::Down,
        });
        if let Some(Weight(weight)) = self.weight {
            metadata = metadata.with_weight(weight);
        }
        metadata.version = self.version;
        metadata.zone = self.zone;
        metadata.region = self.region;
        metadata.tags = self.tags;
        metadata.other = self.other;
        Ok(endpoint.with_metadata(metadata))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        address(&text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let weight = f64::deserialize(deserializer)?;
        if weight.is_finite() && weight >= 0.0 {
            Ok(Self(weight))
        } else {
            let expected = &"a number that is not negative";
            Err(D::Error::invalid_value(Unexpected::Float(weight), expected))
        }
    }
}

fn address<E: Error>(text: &str) -> Result<Address, E> {
    let address: Address = text.parse().map_err(E::custom)?;
    if address.is_unspecified() {
        return Err(E::custom(format_args!(
            "nobody can dial the address {text:?}"
        )));
    }
    Ok(address)
}

#[cfg(test)]
mod tests;
