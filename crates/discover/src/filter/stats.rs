use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::set::FilteredSet;

/// How a filter is doing; readable while the stream itself is with the balancer.
#[derive(Debug, Default)]
pub struct FilterStats {
    known: AtomicUsize,
    matching: AtomicUsize,
    fallbacks: AtomicU64,
    used: Mutex<Used>,
}

/// The time during which the fallback was in use.
#[derive(Debug, Default)]
struct Used {
    since: Option<Instant>,
    before: Duration,
}

impl FilterStats {
    /// How many endpoints the source has.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// How many of them match.
    #[must_use]
    pub fn matching(&self) -> usize {
        self.matching.load(Ordering::Relaxed)
    }

    /// How often the fallback came into use because none matched any more.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Since when the fallback is in use, if it is.
    #[must_use]
    pub fn fallback_since(&self) -> Option<Instant> {
        self.used.lock().since
    }

    /// How long the fallback was in use altogether, as of `now`.
    #[must_use]
    pub fn fallback_time(&self, now: Instant) -> Duration {
        let used = self.used.lock();
        let running = used.since.map(|since| now.saturating_duration_since(since));
        used.before + running.unwrap_or_default()
    }

    pub(super) fn note(&self, set: &FilteredSet, now: Instant) {
        let (known, matching) = set.counts();
        self.known.store(known, Ordering::Relaxed);
        self.matching.store(matching, Ordering::Relaxed);
        let mut used = self.used.lock();
        match (used.since, set.falls_back()) {
            (None, true) => {
                self.fallbacks.fetch_add(1, Ordering::Relaxed);
                used.since = Some(now);
            }
            (Some(since), false) => {
                used.before += now.saturating_duration_since(since);
                used.since = None;
            }
            _ => {}
        }
    }
}
