use evenkeel_core::BoxError;

use crate::RegisterError;
use crate::register::{AdvertiseError, AdvertisedBy};

/// Why a server has ended that was not told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It has failed, perhaps to start.
    #[error("the server has failed: {0}")]
    Server(#[source] BoxError),
    /// Its check has failed before it was registered.
    #[error("the server is not ready: {0}")]
    NotReady(#[source] BoxError),
    /// There is no address that clients could dial.
    #[error(transparent)]
    Advertise(#[from] AdvertiseError),
    /// The registrar refuses it.
    #[error("{source}; the address is from {by}")]
    #[non_exhaustive]
    Register {
        /// Why.
        source: RegisterError,
        /// Where the address is from.
        by: AdvertisedBy,
    },
}
