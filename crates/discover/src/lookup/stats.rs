use std::sync::atomic::{AtomicU64, Ordering};

use super::follow::Known;

/// How a [`DiscoverCache`](crate::DiscoverCache) is doing.
#[derive(Debug, Default)]
pub struct CacheStats {
    hits: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    evictions: AtomicU64,
    expirations: AtomicU64,
    stale: AtomicU64,
}

impl CacheStats {
    /// Questions for a service whose source had answered.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Questions that had to wait for a source.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// How often a source had something new for a list, after the first answer.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }

    /// Services that went because there were too many.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Services that went because nobody asked for them.
    #[must_use]
    pub fn expirations(&self) -> u64 {
        self.expirations.load(Ordering::Relaxed)
    }

    /// Lists that were given although the source could not be asked.
    #[must_use]
    pub fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(super) fn asked(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gave(&self, known: &Known) {
        if known.is_stale() {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refreshed(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evicted(&self) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expired(&self) {
        self.expirations.fetch_add(1, Ordering::Relaxed);
    }
}
