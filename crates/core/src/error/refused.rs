use std::sync::Arc;

use tonic::{Code, Status};

use super::status;

/// The endpoint's breaker refused the attempt: UNAVAILABLE, and nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("circuit breaker of {endpoint} {}; tripped by: {tripped_by}", fmt_next(*.retry_in))]
#[non_exhaustive]
pub struct BreakerOpen {
    /// What the breaker guards: an endpoint, or the name a user gave it.
    pub endpoint: String,
    /// Time until the next probe; zero while a probe is running.
    pub retry_in: std::time::Duration,
    /// The failure that opened it.
    pub tripped_by: String,
}

fn fmt_next(retry_in: std::time::Duration) -> String {
    match retry_in.as_millis() {
        0 if retry_in.is_zero() => "is probing".to_owned(),
        millis => format!("is open, it probes in {} ms", millis.max(1)),
    }
}

impl BreakerOpen {
    /// A refusal.
    #[must_use]
    pub fn new(endpoint: String, retry_in: std::time::Duration, tripped_by: String) -> Self {
        Self {
            endpoint,
            retry_in,
            tripped_by,
        }
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
