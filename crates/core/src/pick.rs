use std::fmt;

use http::HeaderMap;
use tonic::Status;

use crate::EndpointId;

/// The place of an endpoint in the [`View`](crate::View) its policy was shown last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointIndex(pub usize);

/// What a picker may know of the attempt it picks for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickArgs<'a> {
    /// `/package.Service/Method`.
    pub path: &'a str,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Endpoints that earlier attempts of this call have used: to be avoided while others are
    /// there (failover).
    pub tried: &'a [EndpointId],
    /// A uniformly random number, fresh for this pick.
    pub random: u64,
}

impl<'a> PickArgs<'a> {
    /// Arguments of a first attempt.
    #[must_use]
    pub const fn new(path: &'a str, headers: &'a HeaderMap, random: u64) -> Self {
        Self {
            path,
            headers,
            tried: &[],
            random,
        }
    }

    /// The same arguments, avoiding `tried`.
    #[must_use]
    pub const fn avoiding(mut self, tried: &'a [EndpointId]) -> Self {
        self.tried = tried;
        self
    }
}

/// A picker's answer.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a wrapper's picker must handle every answer"
)]
pub enum Pick {
    /// Send it there.
    Endpoint(EndpointIndex),
    /// Wait for the next picker.
    Queue,
    /// The same, and this endpoint shall leave IDLE if it is in it: for pickers that connect to
    /// whom a call wants, and to nobody else.
    Connect(EndpointIndex),
    /// Fail with this status, unless the call waits for ready: then as [`Pick::Queue`].
    Fail(Status),
    /// Fail with this status, even if the call waits for ready, and never retry.
    Drop(Status),
}

/// An immutable snapshot of a policy's decision.
///
/// `pick` is called concurrently from every caller; it never blocks and never allocates for
/// [`Pick::Endpoint`]. Counters it needs are atomics.
pub trait Picker: Send + Sync + fmt::Debug {
    /// Chooses the endpoint of one attempt.
    fn pick(&self, args: &PickArgs<'_>) -> Pick;
}
