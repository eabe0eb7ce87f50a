use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::error::AttemptSummary;
use crate::{Endpoint, EndpointId};

/// Which try of its call a request is; travels in the request's extensions.
///
/// A request without one is a first attempt: the steady path carries nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first; transparent retries do not count.
    pub number: u32,
    /// Where earlier attempts of the call went, and failed.
    pub tried: Tried,
    /// Where the others of a hedged call are, which run beside it: as much to be avoided. `None` if
    /// none may.
    pub hedges: Option<Hedges>,
}

/// Endpoints that a call has used; inline up to gRPC's limit of 5 attempts.
pub type Tried = SmallVec<[EndpointId; 4]>;

impl Attempt {
    /// Attempt `number`, to go elsewhere than `tried` while there is an elsewhere.
    #[must_use]
    pub fn new(number: u32, tried: Tried) -> Self {
        Self {
            number,
            tried,
            hedges: None,
        }
    }

    /// Attempt `number` of a hedged call, to go elsewhere than where it has `tried` and than the
    /// `hedges` beside it.
    #[must_use]
    pub fn hedged(number: u32, tried: Tried, hedges: Hedges) -> Self {
        Self {
            number,
            tried,
            hedges: Some(hedges),
        }
    }
}

/// Where the attempts of one hedged call are.
///
/// An attempt that still waits for its answer cannot say where it went; so whoever picks notes it
/// here, before it sends.
///
/// # Clone
///
/// Clones are the same list: each attempt of the call has one.
#[derive(Clone, Debug, Default)]
pub struct Hedges(Arc<Mutex<SmallVec<[Place; 4]>>>);

/// Where one of them is.
#[derive(Clone, Copy, Debug)]
struct Place {
    number: u32,
    /// `None` while it waits for one.
    endpoint: Option<EndpointId>,
}

impl Hedges {
    /// Attempt `number` goes to `endpoint`.
    pub fn place(&self, number: u32, endpoint: EndpointId) {
        self.set(number, Some(endpoint));
    }

    /// Attempt `number` waits for an endpoint.
    pub fn queue(&self, number: u32) {
        self.set(number, None);
    }

    /// Attempt `number` is over.
    pub fn remove(&self, number: u32) {
        self.0.lock().retain(|place| place.number != number);
    }

    /// The endpoints of those that have one, but for attempt `number`.
    #[must_use]
    pub fn beside(&self, number: u32) -> Tried {
        let places = self.0.lock();
        let others = places.iter().filter(|place| place.number != number);
        others.filter_map(|place| place.endpoint).collect()
    }

    /// Whether one of them waits for an endpoint.
    #[must_use]
    pub fn is_any_queued(&self) -> bool {
        let places = self.0.lock();
        places.iter().any(|place| place.endpoint.is_none())
    }

    fn set(&self, number: u32, endpoint: Option<EndpointId>) {
        let mut places = self.0.lock();
        let known = places.iter_mut().find(|place| place.number == number);
        match known {
            Some(place) => place.endpoint = endpoint,
            None => places.push(Place { number, endpoint }),
        }
    }
}

impl PartialEq for Hedges {
    /// Whether they are of the same call.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Hedges {}

/// How a call came to its answer: an extension of its response.
///
/// Responses have it whose calls took more than one attempt. That of others costs each call three
/// allocations: they have it if the channel, or its `RetryConfig`, says so (`name_endpoints`).
///
/// ```
/// # use evenkeel_core::Answered;
/// fn log<T>(response: &tonic::Response<T>) {
///     if let Some(answered) = response.extensions().get::<Answered>() {
///         println!("{answered}");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answered {
    /// The endpoint that answered, if it was one of a balancer.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Attempts, this one and those that were running beside it included; what no server has seen
    /// does not count.
    pub attempts: u32,
    /// The attempts that had failed before, in that order.
    pub failed: Vec<AttemptSummary>,
}

impl Answered {
    /// `endpoint` answered, after so many `attempts` of which some had `failed`.
    #[must_use]
    pub const fn new(
        endpoint: Option<Arc<Endpoint>>,
        attempts: u32,
        failed: Vec<AttemptSummary>,
    ) -> Self {
        Self {
            endpoint,
            attempts,
            failed,
        }
    }
}

impl fmt::Display for Answered {
    /// `10.0.0.3:80, 3 attempts; failed: 1 10.0.0.1:80 UNAVAILABLE; 2 10.0.0.2:80 UNAVAILABLE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => endpoint.fmt(f)?,
            None => f.write_str("unknown endpoint")?,
        }
        let attempts = if self.attempts == 1 {
            "attempt"
        } else {
            "attempts"
        };
        write!(f, ", {} {attempts}", self.attempts)?;
        if !self.failed.is_empty() {
            write!(f, "; failed: {}", AttemptSummary::story(&self.failed))?;
        }
        Ok(())
    }
}

/// When the call must have ended, its response stream included; travels in the request's
/// extensions, set by the deadline layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "a newtype")]
pub struct Deadline(pub Instant);

/// Whether a call waits while the channel is in TRANSIENT_FAILURE instead of failing; travels in
/// the request's extensions. What the caller sets there wins over `waitForReady` of the service
/// config; unset in both means no.
///
/// ```
/// use evenkeel_core::WaitForReady;
///
/// let mut request = tonic::Request::new(());
/// request.extensions_mut().insert(WaitForReady(true));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a newtype")]
pub struct WaitForReady(pub bool);

/// The endpoint that an attempt went to: an extension of failed responses and of those to requests
/// with an [`Attempt`], and part of [`AttemptError`](crate::error::AttemptError).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Picked {
    /// Its identity within the channel.
    pub id: EndpointId,
    /// Its addresses and metadata when it was picked.
    pub endpoint: Arc<Endpoint>,
}

impl Picked {
    /// The endpoint of an attempt.
    #[must_use]
    pub const fn new(id: EndpointId, endpoint: Arc<Endpoint>) -> Self {
        Self { id, endpoint }
    }
}
