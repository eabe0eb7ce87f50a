use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::config::fraction;
use super::{BreakerConfig, Counts};

/// What has become of the calls of a closed breaker whose rules go by all of them: counted by
/// every thread, without a lock.
///
/// The counts only ever grow. Where its windows begin says the breaker's
/// [`Machine`](super::Machine), once per bucket.
#[derive(Debug)]
pub struct Tally {
    config: Arc<BreakerConfig>,
    /// What time is counted from.
    origin: Instant,
    /// When a window moves on, in nanoseconds since the origin. Written after where they begin.
    due: AtomicU64,
    /// What had been counted when the windows began.
    ratio: Cells,
    adaptive: Cells,
    totals: Line,
}

/// What came of counting a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever counts must handle every case"
)]
pub enum Counted {
    /// It is counted, and that is all.
    Quietly,
    /// It is counted, and the breaker may have to trip: [`Machine::judge`](super::Machine::judge).
    Tripping,
    /// It is not counted: a window must move on first. [`Machine::settle`](super::Machine::settle)
    /// does both.
    Not,
}

#[derive(Debug, Default)]
struct Cells {
    successes: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
}

/// On a cache line of its own: every call writes to it, and reads what is beside it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(Cells);

impl Tally {
    pub(super) fn new(config: Arc<BreakerConfig>, origin: Instant) -> Self {
        Self {
            config,
            origin,
            due: AtomicU64::new(0),
            ratio: Cells::default(),
            adaptive: Cells::default(),
            totals: Line::default(),
        }
    }

    /// Counts a call that has ended, if no window must move on before.
    #[inline]
    pub fn count(&self, now: Instant, is_success: bool) -> Counted {
        if self.is_due(now) {
            return Counted::Not;
        }
        self.add(is_success);
        if !is_success && self.trips() {
            Counted::Tripping
        } else {
            Counted::Quietly
        }
    }

    /// Whether a window must move on: what is asked here is as of the last time it did.
    #[inline]
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.nanos(now) >= self.due.load(Ordering::Acquire)
    }

    /// The probability with which [`Self::sheds`] refuses a call.
    #[inline]
    #[must_use]
    pub fn share(&self) -> f64 {
        match &self.config.adaptive {
            Some(adaptive) => adaptive.share(self.totals().since(self.adaptive.load())),
            None => 0.0,
        }
    }

    /// Whether a call is refused, which is counted then: with which probability it was. `random`
    /// is uniform over all of `u64`.
    #[must_use]
    pub fn sheds(&self, random: u64) -> Option<f64> {
        let share = self.share();
        let is_refused = fraction(random) < share;
        is_refused.then(|| {
            self.totals.0.refused.fetch_add(1, Ordering::Relaxed);
            share
        })
    }

    /// What was counted in all time.
    #[must_use]
    pub fn totals(&self) -> Counts {
        self.totals.0.load()
    }

    /// Counts a call, whatever the time.
    pub(super) fn add(&self, is_success: bool) {
        let cells = &self.totals.0;
        let cell = if is_success {
            &cells.successes
        } else {
            &cells.failures
        };
        cell.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the failure ratio is reached.
    pub(super) fn trips(&self) -> bool {
        let Some(ratio) = &self.config.failure_ratio else {
            return false;
        };
        ratio.trips(self.totals().since(self.ratio.load()))
    }

    /// From now on the windows begin there, until `due`.
    pub(super) fn publish(&self, ratio: Counts, adaptive: Counts, due: u64) {
        self.ratio.store(ratio);
        self.adaptive.store(adaptive);
        self.due.store(due, Ordering::Release);
    }

    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

impl Cells {
    fn load(&self) -> Counts {
        Counts {
            successes: self.successes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn store(&self, counts: Counts) {
        self.successes.store(counts.successes, Ordering::Relaxed);
        self.failures.store(counts.failures, Ordering::Relaxed);
        self.refused.store(counts.refused, Ordering::Relaxed);
    }
}
