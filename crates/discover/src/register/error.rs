use std::time::Duration;

use evenkeel_core::{Address, BoxError, Endpoint};

/// Why a server cannot be registered, or its entry not be taken out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// `0.0.0.0`, `[::]` or port 0: nothing that a client could dial.
    #[error("cannot register {address}: register the address that clients dial, with its port")]
    #[non_exhaustive]
    Unspecified {
        /// What was to be registered.
        address: Address,
    },
    /// An address that is of use on this machine only.
    #[error("cannot register {address}: other machines cannot reach it; allow_loopback permits it")]
    #[non_exhaustive]
    Loopback {
        /// What was to be registered.
        address: Address,
    },
    /// The registry's format cannot express the endpoint.
    #[error("cannot register {endpoint}: {source}")]
    #[non_exhaustive]
    Encode {
        /// What was to be registered: its first address.
        endpoint: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The registrar was shut down, or the entry replaced by a newer registration.
    #[error("the registration has ended")]
    Ended,
    /// A registrar that works in the background was used outside of a Tokio runtime.
    #[error("registering needs a tokio runtime")]
    NoRuntime,
    /// The registry did not confirm in time that the entry is gone. It goes on its own when the
    /// registry notices that nobody renews it.
    #[error("not confirmed within {within:?} that the entry is gone")]
    #[non_exhaustive]
    Unconfirmed {
        /// How long was waited for it.
        within: Duration,
    },
}

impl RegisterError {
    /// Checks that clients can dial every address of `endpoint`.
    ///
    /// # Errors
    ///
    /// [`Self::Unspecified`], and [`Self::Loopback`] unless `allow_loopback`.
    pub fn check(endpoint: &Endpoint, allow_loopback: bool) -> Result<(), Self> {
        for address in endpoint.addresses() {
            let address = address.clone();
            if address.is_unspecified() {
                return Err(Self::Unspecified { address });
            }
            if address.is_local_only() && !allow_loopback {
                return Err(Self::Loopback { address });
            }
        }
        Ok(())
    }

    /// The registry's format cannot express `endpoint`.
    pub fn encode(endpoint: &Endpoint, source: impl Into<BoxError>) -> Self {
        Self::Encode {
            endpoint: endpoint.to_string(),
            source: source.into(),
        }
    }
}
