use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::{Code, Status};

use super::status;
use crate::Endpoint;

/// The endpoint's breaker refused the attempt: UNAVAILABLE, and nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub struct BreakerOpen {
    /// What the breaker guards: an endpoint, or the name a user gave it.
    pub endpoint: String,
    /// Time until the next probe; zero while a probe is running. It is as of the refusal: of an
    /// endpoint that is held back, as of its report, which may be some time ago.
    pub retry_in: Duration,
    /// When the next probe may start, which stays true; `None` while one is running, and where that
    /// is not known.
    pub probes_at: Option<Instant>,
    /// The failure that opened it, or for which it sheds; empty if that is not known.
    pub tripped_by: String,
    /// The share of attempts that a breaker refuses which is not open: adaptive throttling. The next one may
    /// be admitted.
    pub shed: Option<f64>,
    /// Whether it was opened by hand, and stays open until somebody closes it.
    pub held: bool,
}

impl BreakerOpen {
    /// A refusal.
    #[must_use]
    pub const fn new(endpoint: String, retry_in: Duration, tripped_by: String) -> Self {
        Self {
            endpoint,
            retry_in,
            probes_at: None,
            tripped_by,
            shed: None,
            held: false,
        }
    }

    /// One of a breaker that probes then.
    #[must_use]
    pub const fn probing_at(mut self, at: Instant) -> Self {
        self.probes_at = Some(at);
        self
    }

    /// One of a breaker that refuses this share of the attempts.
    #[must_use]
    pub const fn shedding(mut self, share: f64) -> Self {
        self.shed = Some(share);
        self
    }

    /// One of a breaker that was opened by hand.
    #[must_use]
    pub const fn held(mut self) -> Self {
        self.held = true;
        self
    }
}

impl fmt::Display for BreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit breaker of {} ", self.endpoint)?;
        match self.shed {
            Some(share) => write!(f, "sheds {:.0} % of its calls", share * 100.0)?,
            None if self.held => f.write_str("is held open")?,
            None if self.retry_in.is_zero() => f.write_str("is probing")?,
            None => {
                let millis = self.retry_in.as_millis().max(1);
                write!(f, "is open, it probes in {millis} ms")?;
            }
        }
        match (self.tripped_by.as_str(), self.shed) {
            ("", _) => Ok(()),
            (failure, Some(_)) => write!(f, "; last failure: {failure}"),
            (failure, None) => write!(f, "; tripped by: {failure}"),
        }
    }
}

/// The endpoint is connected and gets no calls, because its probes failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint}: taken out by its {probe}, which failed {} in a row: {reason}", times(*.failures))]
#[non_exhaustive]
pub struct ProbeFailed {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Which probe.
    pub probe: String,
    /// How often it failed before that.
    pub failures: u32,
    /// How it failed last.
    pub reason: String,
}

impl ProbeFailed {
    /// `probe` took `endpoint` out.
    #[must_use]
    pub const fn new(
        endpoint: Arc<Endpoint>,
        probe: String,
        failures: u32,
        reason: String,
    ) -> Self {
        Self {
            endpoint,
            probe,
            failures,
            reason,
        }
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "1 time".to_owned(),
        count => format!("{count} times"),
    }
}

/// A picker's [`Pick::Drop`](crate::Pick::Drop): the call fails with the policy's own status and
/// is not tried again, even if it waits for ready.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the load balancing policy dropped the call")]
#[non_exhaustive]
pub struct CallDropped;

impl CallDropped {
    /// `status` of the policy, marked so that nothing tries the call again.
    #[must_use]
    pub fn mark(mut status: Status) -> Status {
        status.set_source(Arc::new(Self));
        status
    }
}

/// Not a failure: the report, in a stream of discovery, that ends the ones before it. Discovery
/// works again, and has found nothing that it did not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("discovery works again")]
#[expect(clippy::exhaustive_structs, reason = "a marker")]
pub struct DiscoveryRecovered;

/// The channel was shut down, or its driver is gone: UNAVAILABLE.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the channel is shut down: {reason}")]
#[non_exhaustive]
pub struct ChannelClosed {
    /// Who ended it.
    pub reason: String,
}

impl ChannelClosed {
    /// The channel ended for `reason`.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl From<ChannelClosed> for Status {
    fn from(error: ChannelClosed) -> Self {
        status(Code::Unavailable, error)
    }
}
