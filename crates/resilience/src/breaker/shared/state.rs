use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::error::BreakerOpen;
use evenkeel_core::{BreakerState, Endpoint, Waiters};
use evenkeel_policy::breaker::{Machine, Refused};
use tokio::sync::watch;

use super::now;
use crate::breaker::BreakerStatus;

/// What is under a breaker's lock.
pub(super) struct State {
    pub(super) machine: Machine,
    pub(super) name: Name,
    pub(super) tripped_by: Option<Arc<str>>,
    /// Counts the attempts it has refused while it was not closed.
    pub(super) refusals: u64,
    pub(super) shown: Shown,
    /// The views of the service's clones.
    pub(super) waiters: Waiters,
    /// Made for the first handle that asks: there may be many thousands of breakers.
    pub(super) status: Option<watch::Sender<BreakerStatus>>,
}

/// What there is to see of a machine, as of the last change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) state: BreakerState,
    pub(super) admits: bool,
    pub(super) wake_at: Option<Instant>,
    is_held: bool,
    pub(super) sheds: bool,
}

pub(super) enum Name {
    Unknown,
    Given(Arc<str>),
    Endpoint(Arc<Endpoint>),
}

impl Shown {
    pub(super) fn of(machine: &Machine) -> Self {
        Self {
            state: machine.state(),
            admits: machine.admits(),
            wake_at: machine.wake_at(),
            is_held: machine.is_held(),
            sheds: machine.share() > 0.0,
        }
    }
}

impl State {
    pub(super) fn status(&self) -> BreakerStatus {
        let machine = &self.machine;
        BreakerStatus {
            state: machine.state(),
            admits: machine.admits(),
            wake_at: machine.wake_at(),
            held: machine.is_held(),
            tripped_by: self.tripped_by.clone(),
            changes: machine.generation(),
            consecutive_failures: machine.consecutive_failures(),
            failure_ratio: machine.ratio_counts(),
            adaptive: machine.adaptive_counts(),
            shed: machine.share(),
        }
    }

    pub(super) fn refusal(&self, refused: Refused) -> BreakerOpen {
        let tripped_by = self.tripped_by.as_deref().unwrap_or_default();
        let mut refusal = BreakerOpen::new(
            self.name.to_string(),
            refused.retry_in,
            tripped_by.to_owned(),
        );
        refusal.probes_at = probes_at(&self.machine);
        match refused.shed {
            Some(share) => refusal.shedding(share),
            None if self.machine.is_held() => refusal.held(),
            None => refusal,
        }
    }

    pub(super) fn log(&self, before: Shown, status: &BreakerStatus) {
        let name = &self.name;
        let last_error = status.tripped_by.as_deref().unwrap_or_default();
        if before.state != status.state {
            match status.state {
                BreakerState::Open => {
                    let open_for = status.wake_at.map(|at| at.saturating_duration_since(now()));
                    tracing::warn!(endpoint = %name, last_error, ?open_for, "breaker tripped");
                }
                BreakerState::HalfOpen => tracing::debug!(endpoint = %name, "breaker probes"),
                BreakerState::Closed => tracing::info!(endpoint = %name, "breaker reset"),
            }
        } else if before.sheds != self.shown.sheds {
            if self.shown.sheds {
                let share = status.shed;
                tracing::warn!(endpoint = %name, last_error, share, "breaker sheds calls");
            } else {
                tracing::info!(endpoint = %name, "breaker sheds no more calls");
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the service"),
            Self::Given(name) => f.write_str(name),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
        }
    }
}

/// When an open breaker probes.
fn probes_at(machine: &Machine) -> Option<Instant> {
    match machine.state() {
        BreakerState::Open => machine.wake_at(),
        BreakerState::Closed | BreakerState::HalfOpen => None,
    }
}

/// The same as its errors put it.
pub(super) fn retry_in(machine: &Machine) -> Duration {
    probes_at(machine).map_or(Duration::ZERO, |at| at.saturating_duration_since(now()))
}
