use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::{Endpoint, EndpointId};

/// Which try of its call a request is; travels in the request's extensions.
///
/// A request without one is a first attempt: the steady path carries nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first; transparent retries do not count.
    pub number: u32,
    /// Where earlier attempts of the call went.
    pub tried: Tried,
}

/// Endpoints that a call has used; inline up to gRPC's limit of 5 attempts.
pub type Tried = SmallVec<[EndpointId; 4]>;

impl Attempt {
    /// Attempt `number`, to go elsewhere than `tried` while there is an elsewhere.
    #[must_use]
    pub fn new(number: u32, tried: Tried) -> Self {
        Self { number, tried }
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

/// The endpoint that an attempt went to: an extension of failed responses, and part of
/// [`AttemptError`](crate::error::AttemptError).
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
