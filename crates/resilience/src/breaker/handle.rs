use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::BreakerState;
use tokio::sync::watch;

use super::shared::Shared;

/// Watches and moves one breaker from outside.
///
/// # Clone
///
/// Clones are handles on the same breaker.
#[derive(Clone, Debug)]
pub struct BreakerHandle {
    pub(super) shared: Arc<Shared>,
}

/// What a breaker is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// Its state.
    pub state: BreakerState,
    /// Whether it would admit an attempt: always when closed, while there is a place for a probe
    /// when half-open.
    pub admits: bool,
    /// When it does something by itself: when an open one starts to probe, or when a half-open
    /// one no longer waits for its oldest probe.
    pub wake_at: Option<Instant>,
    /// The failure that opened it last.
    pub tripped_by: Option<Arc<str>>,
}

impl BreakerHandle {
    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> BreakerStatus {
        self.shared.advance()
    }

    /// Each change of what it is doing; changes that follow each other closely may be seen as
    /// one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BreakerStatus> {
        self.shared.watch()
    }

    /// Opens it until [`Self::reset`] or [`Self::hold_closed`].
    pub fn hold_open(&self) {
        self.shared
            .change("opened by hand", |machine| machine.hold_open());
    }

    /// Closes it, and no failure trips it until [`Self::reset`] or [`Self::hold_open`].
    pub fn hold_closed(&self) {
        self.shared.change("", |machine| machine.hold_closed());
    }

    /// Closes it and forgets every failure.
    pub fn reset(&self) {
        self.shared.change("", |machine| machine.reset());
    }
}
