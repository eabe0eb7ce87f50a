mod latency;
mod observed;

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tonic::Code;

use self::latency::Latency;
pub use self::observed::Load;
use self::observed::Observed;
use crate::{LatencyConfig, Outcome};

/// What a channel has counted of one endpoint; shared by its balancer, its pickers and whoever
/// watches, kept while connections come and go.
///
/// One cache line of its own, so that callers of different endpoints do not slow each other; the
/// line beside it holds its reference count.
///
/// Each number is exact; read together they may be of slightly different moments.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct EndpointStats {
    in_flight: AtomicU32,
    succeeded: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    latency: Latency,
    /// What few endpoints have: made with the first failure, or for a policy that wants it.
    observed: OnceLock<Box<Observed>>,
}

impl EndpointStats {
    /// Counts an attempt that starts. Each is ended by exactly one [`Self::end`].
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of an attempt.
    pub fn end(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Success => &self.succeeded,
            Outcome::Failure(_) => &self.failed,
            Outcome::Abandoned => &self.abandoned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Outcome::Failure(code) = outcome {
            self.count_failure(code);
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    #[cold]
    fn count_failure(&self, code: Code) {
        self.observed.get_or_init(Box::default).count_failure(code);
    }

    /// Takes back a [`Self::begin`]: the attempt was never sent.
    pub fn unsent(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Attempts (unary calls and streams) that have started and not ended.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Attempts that ended with status OK.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Attempts that ended with any other status.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Attempts that the caller dropped before their end.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Attempts that ended with this status, which is not OK.
    #[must_use]
    pub fn failed_with(&self, code: Code) -> u64 {
        self.observed.get().map_or(0, |it| it.failed_with(code))
    }

    /// How long attempts take, as [`LatencyConfig`] says; `None` before the first that was
    /// measured. Only policies that ask for it have it: [`Observe::latency`](crate::Observe::latency).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        let nanos = self.latency_nanos()?.get();
        Some(Duration::from_nanos(nanos))
    }

    /// The same in nanoseconds, up to 60 s of them: a single load, for pickers.
    #[inline]
    #[must_use]
    pub fn latency_nanos(&self) -> Option<NonZeroU64> {
        self.latency.nanos()
    }

    /// Takes one more attempt into [`Self::latency`], which is kept within 1 ns and 60 s. One that
    /// was cancelled says nothing; one that was abandoned would have taken longer, and counts if it
    /// has taken longer than all that is known.
    pub fn record_latency(
        &self,
        now: Instant,
        took: Duration,
        outcome: Outcome,
        config: &LatencyConfig,
    ) {
        let is_failure = match outcome {
            Outcome::Failure(code) if config.failures.contains(code) => true,
            Outcome::Failure(Code::Cancelled) => return,
            Outcome::Abandoned if self.latency().is_some_and(|known| took <= known) => return,
            Outcome::Abandoned => false,
            Outcome::Success | Outcome::Failure(_) => false,
        };
        let now = self.observed.get_or_init(Box::default).since_origin(now);
        self.latency.record(now, took, is_failure, config);
    }

    /// What the server has reported of its load last, as a weight. Only policies that ask for it
    /// have it: [`Observe::load`](crate::Observe::load).
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        self.observed.get()?.load()
    }

    /// Takes a load report that says `weight`.
    pub fn record_load(&self, now: Instant, weight: f64) {
        self.observed
            .get_or_init(Box::default)
            .record_load(now, weight);
    }

    /// Makes the next load report count as the first: [`Load::since`].
    pub fn restart_load(&self) {
        if let Some(observed) = self.observed.get() {
            observed.restart_load();
        }
    }
}

#[cfg(test)]
mod tests;
