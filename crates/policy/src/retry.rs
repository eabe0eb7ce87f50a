//! Whether and when a failed call is tried again.
//!
//! [`RetryPolicy`] is what the service config says, [`RetryState`] is one call's progress through
//! it, [`Pushback`] is what the server says of it.
//!
//! # Not here
//!
//! The tokens that all calls of a channel share: [`throttle`](crate::throttle). Replaying the
//! request and waiting: `evenkeel-resilience`. Choosing another endpoint: the pickers.
//!
//! # Specification
//!
//! gRFC A6. Where implementations differ: a delay never exceeds `maxBackoff` by more than its
//! jitter, even when `initialBackoff` does; a pushback that is no 32-bit number, or comes twice,
//! stops; a refused stream is tried again without a policy once per call, whenever it happens; an
//! attempt that never left is, up to 1 000 times.

mod pushback;
mod state;
mod transparent;

pub use evenkeel_core::CodeSet;
pub use pushback::Pushback;
pub use state::{Failure, RetryDecision, RetryState, Stop};
pub(crate) use transparent::Transparent;

use std::time::Duration;

/// `retryPolicy` of a service config, validated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 2.
    pub max_attempts: u32,
    /// Delay before the first retry, before jitter; more than 0.
    pub initial_backoff: Duration,
    /// Upper bound of the delay, before jitter; more than 0.
    pub max_backoff: Duration,
    /// Growth of the delay from retry to retry; more than 0.
    pub backoff_multiplier: f64,
    /// The codes that are retried; never empty.
    pub retryable_codes: CodeSet,
}

impl RetryPolicy {
    /// A policy of plain parts; the caller (the service config's parser) has checked them.
    #[must_use]
    pub const fn new(
        max_attempts: u32,
        initial_backoff: Duration,
        max_backoff: Duration,
        backoff_multiplier: f64,
        retryable_codes: CodeSet,
    ) -> Self {
        Self {
            max_attempts,
            initial_backoff,
            max_backoff,
            backoff_multiplier,
            retryable_codes,
        }
    }

    /// The delay before retry `number` (1 for the first), before jitter.
    #[must_use]
    pub fn backoff(&self, number: u32) -> Duration {
        let exponent = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial_backoff.as_secs_f64() * self.backoff_multiplier.powi(exponent);
        Duration::try_from_secs_f64(grown).map_or(self.max_backoff, |it| it.min(self.max_backoff))
    }

    /// The delay before retry `number`, jittered: 0.8 to 1.2 times [`Self::backoff`], as
    /// `random`, uniform over all of `u64`, has it.
    #[must_use]
    pub fn jittered_backoff(&self, number: u32, random: u64) -> Duration {
        let backoff = self.backoff(number).as_secs_f64();
        // 53 bits are what an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::try_from_secs_f64(backoff * (0.8 + 0.4 * fraction)).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
