//! The retry throttle of a channel: when too many calls fail, retries stop until enough succeed.
//!
//! # Specification
//!
//! gRFC A6, `retryThrottling`. Tokens are counted in thousandths. First attempts are never held
//! back.

use std::sync::atomic::{AtomicU32, Ordering};

/// `retryThrottling` of a service config, validated; in thousandths, so that no float adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleConfig {
    /// `maxTokens` × 1000: 1 to 1 000 000.
    pub max_milli_tokens: u32,
    /// `tokenRatio` × 1000, further decimals cut off: at least 1.
    pub milli_token_ratio: u32,
}

impl ThrottleConfig {
    /// A config of plain parts; the caller (the service config's parser) has checked them.
    #[must_use]
    pub const fn new(max_milli_tokens: u32, milli_token_ratio: u32) -> Self {
        Self {
            max_milli_tokens,
            milli_token_ratio,
        }
    }
}

/// The tokens of one channel, shared by its calls. Never blocks.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    milli_tokens: AtomicU32,
}

impl Throttle {
    /// What a failure costs.
    const FAILURE: u32 = 1_000;

    /// A full throttle.
    #[must_use]
    pub const fn new(config: ThrottleConfig) -> Self {
        Self {
            config,
            milli_tokens: AtomicU32::new(config.max_milli_tokens),
        }
    }

    /// The throttle that follows this one when the config changes: as full as this one is, so that
    /// an update in the middle of an outage does not set all retries free.
    #[must_use]
    pub fn replaced_by(&self, config: ThrottleConfig) -> Self {
        let (tokens, before) = (self.milli_tokens(), self.config.max_milli_tokens);
        let scaled =
            u64::from(tokens) * u64::from(config.max_milli_tokens) / u64::from(before.max(1));
        let scaled = u32::try_from(scaled).unwrap_or(u32::MAX);
        Self {
            config,
            milli_tokens: AtomicU32::new(scaled.min(config.max_milli_tokens)),
        }
    }

    /// What it was made with.
    #[must_use]
    pub const fn config(&self) -> ThrottleConfig {
        self.config
    }

    /// A call of any method has ended with status OK. Once per call, not per attempt.
    pub fn on_success(&self) {
        let max = self.config.max_milli_tokens;
        self.update(|tokens| {
            let more = tokens.saturating_add(self.config.milli_token_ratio);
            more.min(max)
        });
    }

    /// An attempt has failed with a code that its policy retries, or was told not to try again.
    pub fn on_failure(&self) {
        self.update(|tokens| tokens.saturating_sub(Self::FAILURE));
    }

    /// Whether a retry may start: more than half of the tokens are there.
    #[must_use]
    pub fn allows_retry(&self) -> bool {
        // Without a division, which would round.
        u64::from(self.milli_tokens()) * 2 > u64::from(self.config.max_milli_tokens)
    }

    /// The tokens that are there, in thousandths.
    #[must_use]
    pub fn milli_tokens(&self) -> u32 {
        self.milli_tokens.load(Ordering::Relaxed)
    }

    /// Writes only what changes: a full throttle stays in every core's cache.
    fn update(&self, change: impl Fn(u32) -> u32) {
        let changed = |tokens| Some(change(tokens)).filter(|after| *after != tokens);
        // An error says that there was nothing to change.
        let _unchanged =
            self.milli_tokens
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retries_stop_at_half_of_the_tokens_and_come_back_with_successes() {
        // maxTokens 10, tokenRatio 0.5
        let throttle = Throttle::new(ThrottleConfig::new(10_000, 500));
        for left in [9_000, 8_000, 7_000, 6_000] {
            throttle.on_failure();
            assert_eq!(
                (throttle.milli_tokens(), throttle.allows_retry()),
                (left, true)
            );
        }
        throttle.on_failure();
        assert!(!throttle.allows_retry(), "exactly half is throttled");
        throttle.on_success();
        assert!(throttle.allows_retry());
    }

    #[test]
    fn half_of_an_odd_number_is_not_rounded_up() {
        let throttle = Throttle::new(ThrottleConfig::new(2_001, 1));
        throttle.on_failure();
        assert_eq!(throttle.milli_tokens(), 1_001);
        assert!(throttle.allows_retry(), "1001 > 1000.5");
    }

    #[test]
    fn a_throttle_that_follows_another_is_as_full() {
        for (max, failures, then, expected) in [
            (10_000, 0, 4_000, 4_000),
            (10_000, 5, 4_000, 2_000),
            (10_000, 5, 1_000_000, 500_000),
            (3_000, 1, 1_000, 666),
            (1_000, 1, 1_000_000, 0),
        ] {
            let before = Throttle::new(ThrottleConfig::new(max, 100));
            (0..failures).for_each(|_| before.on_failure());
            let after = before.replaced_by(ThrottleConfig::new(then, 200));
            assert_eq!(after.milli_tokens(), expected);
            assert_eq!(after.config(), ThrottleConfig::new(then, 200));
        }
    }

    proptest! {
        #[test]
        fn tokens_stay_within_bounds_and_follow_the_rule(
            max in 1_u32..=1_000_000,
            ratio in 1_u32..=2_000_000,
            events in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let throttle = Throttle::new(ThrottleConfig::new(max, ratio));
            let mut expected = i64::from(max);
            for success in events {
                if success {
                    throttle.on_success();
                    expected += i64::from(ratio);
                } else {
                    throttle.on_failure();
                    expected -= 1_000;
                }
                expected = expected.clamp(0, i64::from(max));
                prop_assert_eq!(i64::from(throttle.milli_tokens()), expected);
                prop_assert_eq!(throttle.allows_retry(), 2 * expected > i64::from(max));
            }
        }
    }
}
