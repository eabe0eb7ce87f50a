use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::owned::Owned;
use crate::source::now;
use crate::{RegisterError, Registration};

/// An entry in a [`MemoryRegistry`](super::MemoryRegistry) that goes when nobody renews it: for a
/// server that is known by its heartbeats. Dropping it takes the entry out at once.
#[must_use = "dropping it takes the server out of the registry"]
pub struct MemoryLease {
    entry: Arc<Owned>,
    ttl: Duration,
    registration: Registration,
}

impl MemoryLease {
    pub(super) fn new(entry: Arc<Owned>, ttl: Duration, registration: Registration) -> Self {
        Self {
            entry,
            ttl,
            registration,
        }
    }

    /// The server is well: the entry stays for another while. Watchers are not woken.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Ended`] when the entry has expired or was replaced: register again.
    pub fn renew(&self) -> Result<(), RegisterError> {
        self.entry.renew(self.ttl, now())
    }

    /// How long the entry stays without being renewed.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The entry, to update it and to see its state; an entry that has expired is Deregistered when
    /// somebody has looked.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Takes the entry out.
    ///
    /// # Errors
    ///
    /// As [`Registration::deregister`].
    pub async fn deregister(self) -> Result<(), RegisterError> {
        self.registration.deregister().await
    }
}

impl fmt::Debug for MemoryLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLease")
            .field("ttl", &self.ttl)
            .field("registration", &self.registration)
            .finish_non_exhaustive()
    }
}
