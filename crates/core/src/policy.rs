mod build;
mod observe;

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

pub use self::build::BuildPolicy;
pub use self::observe::{LatencyConfig, LoadStream, Observe, ReadLoad};

use crate::{
    BoxError, ConnectivityState, Endpoint, EndpointId, EndpointIndex, EndpointStats, Picker,
};

/// An LB policy: long-lived, called serially by the balancer's driver, without a clock, a lock
/// or a runtime of its own. Custom policies implement this.
pub trait Policy: Send + Any {
    /// The whole picture in, the whole decision out.
    ///
    /// Called after endpoints, their states or their metadata changed, when a call waits while
    /// the last decision was IDLE, when an attempt has failed if it [asks for that](Observe::failures),
    /// when [`Update::wake_at`] has passed, and after a picker has used [`View::waker`]. Several changes
    /// may be taken together.
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update;
}

/// Everything a policy may base its decision on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct View<'a> {
    /// The endpoints that may get new calls, in the order discovery gave them.
    pub endpoints: &'a [EndpointView],
    /// What discovery said last.
    pub discovery: Discovery<'a>,
    /// Whether a call has asked for a connection since the last update: leave IDLE.
    pub call_waiting: bool,
    /// A uniformly random number, fresh for this update.
    pub random: u64,
    /// Has the policy asked again soon. For pickers that see what only the policy can act on, an
    /// IDLE endpoint that a call needs: they keep a clone, note what they want where the policy finds
    /// it, and wake it. `None` where nobody would come.
    pub waker: Option<&'a Waker>,
}

impl<'a> View<'a> {
    /// A view of `endpoints` as discovery gave them, with no call waiting.
    #[must_use]
    pub const fn new(endpoints: &'a [EndpointView], random: u64) -> Self {
        Self {
            endpoints,
            discovery: Discovery::Resolved,
            call_waiting: false,
            random,
            waker: None,
        }
    }

    /// The same view with another word from discovery.
    #[must_use]
    pub const fn with_discovery(mut self, discovery: Discovery<'a>) -> Self {
        self.discovery = discovery;
        self
    }

    /// The same view, with a call waiting (or not).
    #[must_use]
    pub const fn with_call_waiting(mut self, call_waiting: bool) -> Self {
        self.call_waiting = call_waiting;
        self
    }

    /// The same view, with a way for pickers to have the policy asked again.
    #[must_use]
    pub const fn with_waker(mut self, waker: &'a Waker) -> Self {
        self.waker = Some(waker);
        self
    }

    /// The endpoints with their places.
    pub fn indexed(&self) -> impl Iterator<Item = (EndpointIndex, &'a EndpointView)> {
        self.endpoints
            .iter()
            .enumerate()
            .map(|(index, view)| (EndpointIndex(index), view))
    }
}

/// What discovery said last.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a wrapper policy must handle every case"
)]
pub enum Discovery<'a> {
    /// The endpoints are what it found.
    Resolved,
    /// It failed since; the endpoints, if any, are the last good ones.
    Failed(&'a (dyn std::error::Error + Send + Sync + 'static)),
}

/// One endpoint as a policy sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointView {
    /// Its identity, for [`PickArgs::tried`](crate::PickArgs::tried) and for state kept between updates.
    pub id: EndpointId,
    /// Its addresses and metadata.
    pub endpoint: Arc<Endpoint>,
    /// Its state, already sticky: an endpoint that failed to connect stays in
    /// TRANSIENT_FAILURE, while it tries again, until it is READY (gRFC A62).
    pub state: ConnectivityState,
    /// Whether it is connected: READY, or in TRANSIENT_FAILURE only because something around the
    /// connection wants it so. Not while its server does not say that it is healthy (gRFC A17).
    pub connected: bool,
    /// Whether it is connected, would take calls, and is in TRANSIENT_FAILURE only because something around it wants no
    /// calls to go there: a breaker that is open, an outlier's ejection. When nothing else is
    /// left, it is better than nothing ([`Update::last_resort`]).
    pub held_back: bool,
    /// Why it is in TRANSIENT_FAILURE.
    pub error: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// Its counters, kept across updates and reconnects.
    pub stats: Arc<EndpointStats>,
}

impl EndpointView {
    /// An endpoint in `state`, without an error and with fresh counters.
    #[must_use]
    pub fn new(id: EndpointId, endpoint: Arc<Endpoint>, state: ConnectivityState) -> Self {
        Self {
            id,
            endpoint,
            state,
            connected: state == ConnectivityState::Ready,
            held_back: false,
            error: None,
            stats: Arc::default(),
        }
    }

    /// The same endpoint, connected and [held back](Self::held_back) because of `error`.
    #[must_use]
    pub fn hold_back(mut self, error: impl Into<BoxError>) -> Self {
        self.state = ConnectivityState::TransientFailure;
        self.connected = true;
        self.held_back = true;
        self.with_error(error)
    }

    /// The same endpoint with the reason for its state.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<BoxError>) -> Self {
        self.error = Some(error.into().into());
        self
    }
}

/// A policy's decision.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Update {
    /// The channel's state from now on.
    pub state: ConnectivityState,
    /// Answers every pick until the next update.
    pub picker: Arc<dyn Picker>,
    /// Endpoints that shall leave IDLE.
    pub connect: Vec<EndpointIndex>,
    /// Endpoints that shall go back to IDLE.
    pub disconnect: Vec<EndpointIndex>,
    /// When to be called again if nothing changes before.
    pub wake_at: Option<Instant>,
    /// What has to be known of attempts from now on.
    pub observe: Observe,
    /// The picker gives endpoints that are [held back](EndpointView::held_back), for want of
    /// others: calls pass their breakers and count for nothing there.
    pub last_resort: bool,
    /// Endpoints that the policy itself keeps calls from, whatever their state, and why: for those
    /// who watch.
    pub ejected: Vec<(EndpointIndex, Arc<dyn std::error::Error + Send + Sync>)>,
}

impl Update {
    /// A decision that changes no connection and sets no timer.
    #[must_use]
    pub fn new(state: ConnectivityState, picker: Arc<dyn Picker>) -> Self {
        Self {
            state,
            picker,
            connect: Vec::new(),
            disconnect: Vec::new(),
            wake_at: None,
            observe: Observe::default(),
            last_resort: false,
            ejected: Vec::new(),
        }
    }
}
