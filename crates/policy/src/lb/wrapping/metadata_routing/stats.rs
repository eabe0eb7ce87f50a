use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the picks that did not get what they asked for; written by those only.
///
/// Handed to the builder of the policy, and kept to be read: many channels may count in one. A
/// retried call is picked for more than once, and so is one that waits until its pick succeeds.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RoutingStats {
    fallbacks: AtomicU64,
    any: AtomicU64,
    failures: AtomicU64,
}

impl RoutingStats {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fallbacks: AtomicU64::new(0),
            any: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Picks that got an endpoint with a fallback's value, or without one that was not required.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Picks that got any endpoint, because none matched.
    #[must_use]
    pub fn any(&self) -> u64 {
        self.any.load(Ordering::Relaxed)
    }

    /// Picks that failed, because none matched.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn fell_back(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn took_any(&self) {
        self.any.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
