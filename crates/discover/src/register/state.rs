#[cfg(doc)]
use crate::Registration;
use std::sync::Arc;
use std::time::Instant;

/// How an entry is shown to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a registrar has to know what to do for each"
)]
pub enum Presence {
    /// In the registry, as its metadata say.
    #[default]
    Listed,
    /// In the registry, as a server that wants no new calls.
    Draining,
    /// Not in the registry, until it is resumed.
    Paused,
}

/// How an entry in a registry is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistrationState {
    /// It is being written or taken out: for the first time, or after it was asked for something
    /// else.
    Registering,
    /// The registry has what was asked for.
    Registered,
    /// It was taken out by [`Registration::pause`]; [`Registration::resume`] brings it back.
    Paused,
    /// The registry does not have it, or may lose it; tried again until it succeeds.
    #[non_exhaustive]
    Retrying {
        /// When it was lost, or tried first.
        since: Instant,
        /// What went wrong last.
        last_error: Arc<str>,
    },
    /// It was taken out, replaced by a newer registration, or the registrar is gone.
    Deregistered,
}

impl RegistrationState {
    /// Tried again since `since` because of `last_error`.
    pub fn retrying(since: Instant, last_error: impl Into<Arc<str>>) -> Self {
        Self::Retrying {
            since,
            last_error: last_error.into(),
        }
    }
}
