use evenkeel_core::{ParseAddressError, ParseTargetError};
use evenkeel_service_config::ConfigError;

/// A [`Channel`](crate::Channel) could not be built. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The target is not one.
    #[error(transparent)]
    Target(#[from] ParseTargetError),
    /// The scheme of the target is not known, or its feature is not enabled.
    #[error("{target}: nothing here finds endpoints for {scheme:?}; {hint}")]
    Scheme {
        /// The target.
        target: String,
        /// Its scheme.
        scheme: String,
        /// What would.
        hint: &'static str,
    },
    /// The target has an authority that nothing would use.
    #[error("{target}: the authority {authority:?} would be ignored; {hint}")]
    UnusedAuthority {
        /// The target.
        target: String,
        /// Its authority.
        authority: String,
        /// Why, and what to do.
        hint: &'static str,
    },
    /// A `memory:///` target without a registry.
    #[error("{target}: a memory target needs the registry, given to the builder by `registry`")]
    NoRegistry {
        /// The target.
        target: String,
    },
    /// An address in the target is not one.
    #[error("{target}")]
    Address {
        /// The target.
        target: String,
        /// What is wrong with the address.
        #[source]
        source: ParseAddressError,
    },
    /// The service config is not valid.
    #[error(transparent)]
    ServiceConfig(#[from] ConfigError),
    /// The `:authority` is not valid.
    #[error("invalid authority {authority:?}")]
    Authority {
        /// What was given.
        authority: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The channel needs a tokio runtime for its tasks.
    #[error("a channel must be built within a tokio runtime")]
    NoRuntime,
    /// The name in a `dns` target is not one, or the system's resolver settings cannot be read.
    #[cfg(feature = "dns")]
    #[error("{target}")]
    Dns {
        /// The target.
        target: String,
        /// What is wrong.
        #[source]
        source: evenkeel_discover::DnsError,
    },
    /// The settings for etcd are not valid.
    #[cfg(feature = "etcd")]
    #[error("{target}")]
    Etcd {
        /// The target.
        target: String,
        /// What is wrong.
        #[source]
        source: evenkeel_core::BoxError,
    },
}
