//! When a call is sent again before its earlier attempts have failed.
//!
//! [`HedgingPolicy`] is what the service config says, [`HedgeState`] is one call's progress through
//! it.
//!
//! # Not here
//!
//! The tokens that retries and hedges of a channel share: [`throttle`](crate::throttle). Sending,
//! waiting and cancelling: `evenkeel-resilience`. Choosing other endpoints: the pickers.
//!
//! # Specification
//!
//! gRFC A6, `hedgingPolicy`. Where implementations differ: without a `hedgingDelay` all attempts
//! start at once (Java: it is required); a failure that is not fatal starts the next attempt at
//! once (Java waits for its time). What no server has seen is sent again as for retries. What this
//! side refuses (a breaker, a dropping picker) ends its attempt, lets no other one start, and ends the
//! call only when none is under way. While an attempt waits for an endpoint no other one starts:
//! they would all wait for the same, and leave at once when it is there.

mod state;

pub use state::{HedgeDecision, HedgeStart, HedgeState};

use std::time::Duration;

use crate::retry::CodeSet;

/// `hedgingPolicy` of a service config, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgingPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// From the start of one attempt to the start of the next; zero starts all at once.
    pub hedging_delay: Duration,
    /// The codes after which the other attempts go on, and the next one starts at once; after any
    /// other code the call has failed. May be empty.
    pub non_fatal_codes: CodeSet,
}

impl HedgingPolicy {
    /// A policy of plain parts; the caller (the service config's parser) has checked them.
    #[must_use]
    pub const fn new(max_attempts: u32, hedging_delay: Duration, non_fatal_codes: CodeSet) -> Self {
        Self {
            max_attempts,
            hedging_delay,
            non_fatal_codes,
        }
    }
}

#[cfg(test)]
mod tests;
