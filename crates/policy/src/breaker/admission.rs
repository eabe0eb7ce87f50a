use std::time::Duration;

/// The right to send one attempt. Each is given back by exactly one [`Machine::settle`](super::Machine::settle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an admission that is not settled keeps its probe's place"]
pub struct Admission {
    pub(super) generation: u64,
    pub(super) probe: Option<u64>,
}

impl Admission {
    /// An admission by a breaker that was closed in `generation`.
    pub const fn closed(generation: u64) -> Self {
        Self {
            generation,
            probe: None,
        }
    }

    /// An attempt that is let pass an open breaker: how it ends counts for nothing.
    pub const fn unrecorded() -> Self {
        Self::closed(u64::MAX)
    }

    /// Whether it is one of those.
    #[must_use]
    pub const fn is_unrecorded(&self) -> bool {
        self.generation == u64::MAX
    }

    /// The generation it belongs to.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the attempt decides over a half-open breaker.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// The breaker does not admit an attempt now.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// Time until the next probe may start, if it is known: zero while one is running.
    pub retry_in: Duration,
    /// The probability with which attempts are refused, if the breaker is closed: the next one may
    /// be admitted.
    pub shed: Option<f64>,
}

impl Refused {
    /// By one that is open, or has no place for a probe.
    #[must_use]
    pub const fn until(retry_in: Duration) -> Self {
        Self {
            retry_in,
            shed: None,
        }
    }

    /// By one that refuses this share of the attempts.
    #[must_use]
    pub const fn shed(share: f64) -> Self {
        Self {
            retry_in: Duration::ZERO,
            shed: Some(share),
        }
    }
}
