use std::fmt;
use std::sync::Arc;

use crate::{Address, Metadata};

/// One server: one to many addresses that all reach it (gRFC A61), and what it says of itself.
///
/// ```
/// use evenkeel_core::{Address, Endpoint, Metadata};
///
/// let endpoint = Endpoint::new("127.0.0.1:8090".parse::<Address>()?)
///     .with_metadata(Metadata::default().with_weight(10.0));
/// assert_eq!(endpoint.to_string(), "127.0.0.1:8090");
/// # Ok::<(), evenkeel_core::ParseAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    addresses: Arc<[Address]>,
    authority: Option<Arc<str>>,
    metadata: Metadata,
}

/// An endpoint was made of an empty list of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint needs at least one address")]
pub struct NoAddress;

impl Endpoint {
    /// An endpoint that one address reaches.
    pub fn new(address: impl Into<Address>) -> Self {
        Self {
            addresses: [address.into()].into(),
            authority: None,
            metadata: Metadata::default(),
        }
    }

    /// An endpoint that several addresses reach, in order of preference; repeated ones count once.
    ///
    /// # Errors
    ///
    /// [`NoAddress`] when there is none.
    pub fn with_addresses(addresses: impl IntoIterator<Item = Address>) -> Result<Self, NoAddress> {
        let mut unique = Vec::new();
        for address in addresses {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        if unique.is_empty() {
            return Err(NoAddress);
        }
        Ok(Self {
            addresses: unique.into(),
            authority: None,
            metadata: Metadata::default(),
        })
    }

    /// The same endpoint with other metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same endpoint, called under its own `:authority` (and TLS server name) instead of
    /// the channel's.
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<Arc<str>>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Its addresses, in order of preference; never empty.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Its own `:authority`, when it has one.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether connections to `self` serve `other` as well: the same set of addresses, in any
    /// order, under the same authority (gRFC A61).
    #[must_use]
    pub fn reaches_the_same_server_as(&self, other: &Self) -> bool {
        self.authority == other.authority
            && self.addresses.len() == other.addresses.len()
            && self
                .addresses
                .iter()
                .all(|address| other.addresses.contains(address))
    }
}

impl fmt::Display for Endpoint {
    /// The first address, which is how logs and errors name the endpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addresses[0].fmt(f)
    }
}

/// The identity of an endpoint within one channel, kept while metadata changes and connections
/// come and go; never used again after the endpoint was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(addresses: &[&str]) -> Endpoint {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Endpoint::with_addresses(addresses).unwrap()
    }

    #[test]
    fn order_and_repetition_of_addresses_do_not_make_another_server() {
        let a = endpoint(&["10.0.0.1:80", "10.0.0.2:80"]);
        let b = endpoint(&["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"]);
        assert!(a.reaches_the_same_server_as(&b));
        assert!(!a.reaches_the_same_server_as(&endpoint(&["10.0.0.1:80"])));
        assert!(!a.reaches_the_same_server_as(&b.with_authority("user")));
    }

    #[test]
    fn an_endpoint_has_an_address() {
        assert_eq!(Endpoint::with_addresses([]).unwrap_err(), NoAddress);
    }
}
