//! Where endpoints come from, and where servers write themselves down.
//!
//! A source is a plain stream of [`Change`]s, so it is a tower
//! [`Discover`](tower::discover::Discover) and goes under the balancer as it is:
//!
//! | source | knows its endpoints from |
//! |---|---|
//! | [`StaticDiscover`] | its constructor |
//! | [`MemoryDiscover`] | a [`MemoryRegistry`] in the same process |
//! | `DnsDiscover` | A, AAAA or SRV records (feature `dns`) |
//! | `FileDiscover` | a YAML or JSON file that is watched (feature `file`) |
//! | `evenkeel_etcd::EtcdDiscover` | etcd, listed and watched |
//!
//! # The contract of a source
//!
//! - [`Change::Insert`] brings a new endpoint, or new metadata of one that is known by its
//!   [`EndpointKey`]; [`Change::Remove`] ends one. Two keys never stand for the same server.
//! - **An `Err` is a report, not an end**: [`DiscoverError`] says that the source is unavailable or
//!   that its list is empty. What was inserted stays, and the stream goes on.
//! - The next change after an `Err` says that the source is well again. When nothing has changed in
//!   between, an endpoint is inserted once more as it was.
//! - A source never ends by itself and owns what it runs: dropping it ends all of it.
//!
//! [`EndpointSet`] keeps these promises for a source that knows keys and values.
//!
//! # Combinators
//!
//! [`DiscoverExt`] has them for every source, also for those of other crates, and each is a source
//! again:
//!
//! | combinator | what it does |
//! |---|---|
//! | [`filter_endpoints`](DiscoverExt::filter_endpoints) | by tag, version, zone, whatever; with a [`Fallback`] |
//! | [`merge`](DiscoverExt::merge) | several registries; one server is one endpoint |
//! | [`keep_last_good`](DiscoverExt::keep_last_good) | a list that is lost, or ends, stays |
//! | [`events`](DiscoverExt::events) | added, updated, removed, for those who only watch |
//!
//! [`DiscoverCache`] answers one-off questions for the endpoints of a service.
//!
//! # The other side
//!
//! A server writes itself into a registry through a [`Registrar`] and holds a [`Registration`].
//! [`Serve`] does that for it, from the first call it can take to the last.
//!
//! # Example
//!
//! ```
//! use evenkeel_core::{Address, Endpoint};
//! use evenkeel_discover::{Change, MemoryRegistry};
//! use futures_util::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = MemoryRegistry::new();
//! let mut endpoints = registry.watch("user-service");
//! assert!(endpoints.next().await.unwrap().is_err(), "nobody there: a report, and it goes on");
//!
//! let server = Endpoint::new("127.0.0.1:8090".parse::<Address>()?);
//! let registration = registry.register("user-service", server)?;
//! assert!(matches!(endpoints.next().await, Some(Ok(Change::Insert(_, _)))));
//!
//! drop(registration);
//! assert!(matches!(endpoints.next().await, Some(Ok(Change::Remove(_)))));
//! # Ok(())
//! # }
//! ```

mod alarm;
#[cfg(feature = "dns")]
mod dns;
mod error;
mod events;
mod ext;
#[cfg(feature = "file")]
mod file;
mod filter;
mod fixed;
mod keep_last_good;
mod key;
mod lookup;
mod memory;
mod merge;
mod register;
mod serve;
mod set;
mod source;
#[cfg(test)]
mod testing;

#[cfg(feature = "dns")]
pub use dns::{DnsConfig, DnsDiscover, DnsError, DnsHandle};
pub use error::DiscoverError;
pub use events::{Event, Events};
pub use ext::DiscoverExt;
#[cfg(feature = "file")]
pub use file::{FileConfig, FileDiscover, FileError};
pub use filter::{Fallback, Filter, FilterDiscover, FilterStats};
pub use fixed::StaticDiscover;
pub use keep_last_good::{KeepLastGood, KeepLastGoodConfig, KeepStats};
pub use key::EndpointKey;
pub use lookup::{CacheConfig, CacheStats, DiscoverCache};
pub use memory::{MemoryDiscover, MemoryLease, MemoryRegistry};
pub use merge::MergeDiscover;
pub use register::{
    Advertise, AdvertiseError, Advertised, AdvertisedBy, Control, Presence, RegisterError,
    Registrar, Registrars, Registration, RegistrationState,
};
#[cfg(feature = "signal")]
pub use serve::shutdown_signal;
pub use serve::{Serve, ServeConfig, ServeError, Served, Stop};
pub use set::EndpointSet;

/// What a source says of one endpoint.
pub type Change = tower::discover::Change<EndpointKey, evenkeel_core::Endpoint>;
