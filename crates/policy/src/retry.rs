//! Whether and when a failed call is tried again (gRFC A6).

use std::time::Duration;

use tonic::Code;

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

/// A set of status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSet(u32);

impl CodeSet {
    /// Whether `code` is in it.
    #[must_use]
    pub const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u32) != 0
    }

    /// Whether it has no code at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Code> for CodeSet {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        Self(
            codes
                .into_iter()
                .fold(0, |bits, code| bits | 1 << code as u32),
        )
    }
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
}
