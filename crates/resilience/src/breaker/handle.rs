use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::BreakerState;
use evenkeel_policy::breaker::Counts;
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
    /// Whether it was opened or closed by hand, and stays so until somebody says otherwise.
    pub held: bool,
    /// The failure that opened it last, and why that was one too many; while it sheds, a recent
    /// failure.
    pub tripped_by: Option<Arc<str>>,
    /// How often it has changed its state: a watcher that sees it grow by more than one has missed
    /// a state.
    pub changes: u64,
    /// Failures since the last success; 0 if no rule asks for them.
    pub consecutive_failures: u32,
    /// The calls that its failure ratio is of, if it has that rule.
    pub failure_ratio: Option<Counts>,
    /// The requests that adaptive throttling goes by, if it has that rule.
    pub adaptive: Option<Counts>,
    /// The share of attempts that it refuses although it is closed: 0 to 1.
    pub shed: f64,
}

impl BreakerHandle {
    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> BreakerStatus {
        self.shared.advance()
    }

    /// What this breaker guards: its endpoint, or the name that it was given.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.name()
    }

    /// Each change of what it is doing: that it opened, probes, closed, is held, began or stopped
    /// to shed, and why. Changes that follow each other closely may be seen as one; counts alone are
    /// no change, and are as of the last one.
    ///
    /// Outside a balancer nothing but calls and [`Self::status`] moves a breaker: it probes when the
    /// first call after its open time comes, and that is when it is told.
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
