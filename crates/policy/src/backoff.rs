//! Growing, jittered delays between connection attempts, as every gRPC client has them.
//!
//! # Specification
//!
//! gRPC's connection backoff protocol. The jitter is applied after the cap, so a delay may be
//! up to `1 + jitter` times `max`.

use std::time::Duration;

/// How the delay between connection attempts grows. Values out of bounds are brought into them
/// when they are used.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data; gRPC fixes the parameters"
)]
pub struct BackoffConfig {
    /// The first delay. Default 1 s; at least 1 ms.
    pub initial: Duration,
    /// Growth from one delay to the next. Default 1.6; at least 1.
    pub multiplier: f64,
    /// Upper bound, before jitter. Default 120 s; at least `initial`.
    pub max: Duration,
    /// Random share added or taken away. Default 0.2, that is ±20 %; 0 to 1.
    pub jitter: f64,
    /// A connection attempt may take at least this long, even if its delay is shorter.
    /// Default 20 s.
    pub min_connect_timeout: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            multiplier: 1.6,
            max: Duration::from_secs(120),
            jitter: 0.2,
            min_connect_timeout: Duration::from_secs(20),
        }
    }
}

/// A sequence of delays.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_policy::backoff::{Backoff, BackoffConfig};
///
/// let mut backoff = Backoff::new(BackoffConfig { jitter: 0.0, ..Default::default() });
/// assert_eq!(backoff.next_delay(0.5), Duration::from_secs(1));
/// assert_eq!(backoff.next_delay(0.5), Duration::from_millis(1600));
/// backoff.reset();
/// assert_eq!(backoff.next_delay(0.5), Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    /// The next delay in seconds, before jitter.
    next: f64,
}

impl Backoff {
    /// A sequence at its start.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        let mut backoff = Self { config, next: 0.0 };
        backoff.reset();
        backoff
    }

    /// The next delay; `random` is uniform in `0.0..1.0`.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let base = self.next;
        self.next = (base * self.config.multiplier.max(1.0)).min(self.max_seconds());
        let jitter = self.config.jitter.clamp(0.0, 1.0);
        let swing = jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        let factor = if swing.is_nan() { 1.0 } else { 1.0 + swing };
        // What does not fit is longer than any.
        Duration::try_from_secs_f64(base * factor).unwrap_or(Duration::MAX)
    }

    pub(crate) const fn config(&self) -> &BackoffConfig {
        &self.config
    }

    /// Starts again from the first delay.
    pub fn reset(&mut self) {
        self.next = self.initial_seconds();
    }

    fn initial_seconds(&self) -> f64 {
        self.config.initial.as_secs_f64().max(0.001)
    }

    fn max_seconds(&self) -> f64 {
        self.config.max.as_secs_f64().max(self.initial_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_make_about_fourteen_attempts_in_nine_minutes() {
        let mut backoff = Backoff::new(BackoffConfig {
            jitter: 0.0,
            ..Default::default()
        });
        let mut elapsed = Duration::ZERO;
        let mut attempts = 1;
        while elapsed < Duration::from_secs(540) {
            elapsed += backoff.next_delay(0.5);
            attempts += 1;
        }
        assert!((13..=15).contains(&attempts), "{attempts}");
    }

    #[test]
    fn nonsense_in_the_config_is_brought_into_bounds() {
        let nonsense = BackoffConfig {
            initial: Duration::ZERO,
            multiplier: f64::NAN,
            max: Duration::ZERO,
            jitter: f64::INFINITY,
            ..Default::default()
        };
        let mut backoff = Backoff::new(nonsense);
        for random in [0.0, 1.0, f64::NAN] {
            assert!(backoff.next_delay(random) <= Duration::from_millis(2));
        }
    }

    #[test]
    fn a_delay_of_any_length_stays_between_its_bounds() {
        const MAX: Duration = Duration::MAX;
        const ZERO: Duration = Duration::ZERO;
        const LEAST: Duration = Duration::from_millis(1);
        for (initial, max, jitter, first, second) in [
            (ZERO, ZERO, 0.0, LEAST, LEAST),
            (ZERO, MAX, 0.0, LEAST, 2 * LEAST),
            (MAX, ZERO, 0.0, MAX, MAX),
            (MAX, MAX, 0.0, MAX, MAX),
            (MAX, MAX, 1.0, MAX, MAX),
            (LEAST, MAX, f64::NAN, LEAST, 2 * LEAST),
        ] {
            let mut backoff = Backoff::new(BackoffConfig {
                initial,
                max,
                jitter,
                multiplier: 2.0,
                ..Default::default()
            });
            let delays = [backoff.next_delay(0.5), backoff.next_delay(0.5)];
            assert_eq!(delays, [first, second], "{initial:?} to {max:?}, {jitter}");
        }
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(randoms in prop::collection::vec(0.0..1.0f64, 1..40)) {
            let mut plain = Backoff::new(BackoffConfig { jitter: 0.0, ..Default::default() });
            let mut jittered = Backoff::new(BackoffConfig::default());
            for random in randoms {
                let base = plain.next_delay(0.5).as_secs_f64();
                let delay = jittered.next_delay(random).as_secs_f64();
                prop_assert!(delay >= base * 0.799 && delay <= base * 1.201);
            }
        }
    }
}
