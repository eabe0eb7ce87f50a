use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::Outcome;

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
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes back a [`Self::begin`]: the attempt was never sent.
    pub fn unsent(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Attempts (unary calls and streams) that have started and not ended.
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
}
