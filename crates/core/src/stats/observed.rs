use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tonic::Code;

use super::latency::nanos;

/// What is counted of an endpoint once it has failed, or when its policy wants it.
#[derive(Debug)]
pub(super) struct Observed {
    /// By code.
    failures: [AtomicU64; CODES],
    /// What moments are counted from.
    origin: OnceLock<Instant>,
    /// The bits of an `f64`.
    weight: AtomicU64,
    /// Nanoseconds since the origin; [`NONE`] before the first.
    load_at: AtomicU64,
    load_since: AtomicU64,
}

/// A server's load report, as a weight (gRFC A58).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// How many calls it wants relative to its peers.
    pub weight: f64,
    /// When it was reported.
    pub reported_at: Instant,
    /// When the first of the present row of reports came; `None` when the row was
    /// [restarted](crate::EndpointStats::restart_load) and none has come since.
    pub since: Option<Instant>,
}

/// OK and the sixteen others.
const CODES: usize = 17;

const NONE: u64 = u64::MAX;

impl Default for Observed {
    fn default() -> Self {
        Self {
            failures: [const { AtomicU64::new(0) }; CODES],
            origin: OnceLock::new(),
            weight: AtomicU64::new(0),
            load_at: AtomicU64::new(NONE),
            load_since: AtomicU64::new(NONE),
        }
    }
}

impl Observed {
    pub(super) fn count_failure(&self, code: Code) {
        if let Some(counter) = self.failures.get(code as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn failed_with(&self, code: Code) -> u64 {
        let counter = self.failures.get(code as usize);
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(super) fn load(&self) -> Option<Load> {
        let reported_at = read(&self.load_at)?;
        let origin = *self.origin.get()?;
        let at = |nanos| origin + Duration::from_nanos(nanos);
        Some(Load {
            weight: f64::from_bits(self.weight.load(Ordering::Relaxed)),
            reported_at: at(reported_at),
            since: read(&self.load_since).map(at),
        })
    }

    pub(super) fn record_load(&self, now: Instant, weight: f64) {
        let now = self.since_origin(now);
        self.weight.store(weight.to_bits(), Ordering::Relaxed);
        let first = (Ordering::Relaxed, Ordering::Relaxed);
        // An error means that the row has begun already.
        let _ = self
            .load_since
            .compare_exchange(NONE, now, first.0, first.1);
        self.load_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn restart_load(&self) {
        self.load_since.store(NONE, Ordering::Relaxed);
    }

    /// In nanoseconds since the first moment that it was asked for.
    pub(super) fn since_origin(&self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_init(|| now);
        nanos(now.saturating_duration_since(origin)).min(NONE - 1)
    }
}

fn read(cell: &AtomicU64) -> Option<u64> {
    Some(cell.load(Ordering::Relaxed)).filter(|value| *value != NONE)
}
