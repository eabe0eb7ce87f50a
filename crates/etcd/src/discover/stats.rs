use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// How a discovery is doing; readable while the stream itself is with the balancer.
#[derive(Debug, Default)]
pub struct DiscoverStats {
    pub(super) decode_errors: AtomicU64,
    pub(super) lists: AtomicU64,
    pub(super) watches: AtomicU64,
    pub(super) revision: AtomicI64,
    pub(super) kept: AtomicUsize,
    pub(super) snapshot_errors: AtomicU64,
    stale_since: Mutex<Option<Instant>>,
    heard_at: Mutex<Option<Instant>>,
}

impl DiscoverStats {
    /// etcd's history was heard up to `revision`.
    pub(super) fn hear(&self, revision: i64, now: Instant) {
        self.revision.store(revision, Ordering::Relaxed);
        *self.heard_at.lock() = Some(now);
    }

    /// The list is as old as `since`, unless it is older.
    pub(super) fn stale(&self, since: Instant) {
        let mut stale = self.stale_since.lock();
        *stale = Some(stale.map_or(since, |before| before.min(since)));
    }

    /// The list is good and watched.
    pub(super) fn well(&self) {
        *self.stale_since.lock() = None;
    }

    /// Values that could not be read, in whole or in part; each counts once per write.
    #[must_use]
    pub fn decode_errors(&self) -> u64 {
        self.decode_errors.load(Ordering::Relaxed)
    }

    /// How often everything was listed: once at the start, after each end of the watch after which
    /// it could not just go on, and every
    /// [`EtcdConfig::relist_every`](crate::EtcdConfig::relist_every).
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// How many watches etcd has confirmed.
    #[must_use]
    pub fn watches(&self) -> u64 {
        self.watches.load(Ordering::Relaxed)
    }

    /// etcd's revision that the list is of; 0 before the first list.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// How many endpoints are in the list only because etcd has lost them
    /// ([`EtcdConfig::on_loss`](crate::EtcdConfig::on_loss)).
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// How often a snapshot could not be read ([`EtcdConfig::snapshot`](crate::EtcdConfig::snapshot)).
    #[must_use]
    pub fn snapshot_errors(&self) -> u64 {
        self.snapshot_errors.load(Ordering::Relaxed)
    }

    /// When etcd said something last: a list, a change, or that the watch is alive.
    #[must_use]
    pub fn heard_at(&self) -> Option<Instant> {
        *self.heard_at.lock()
    }

    /// Since when the list may be out of date because etcd cannot be asked. For a list from a
    /// snapshot that is when it was written.
    #[must_use]
    pub fn stale_since(&self) -> Option<Instant> {
        *self.stale_since.lock()
    }
}
