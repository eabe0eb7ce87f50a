//! The service in front: one channel over many endpoints.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{
    BoxError, BreakerState, Connectivity, ConnectivityState, Endpoint, EndpointId, EndpointStats,
    Policy,
};
use evenkeel_service_config::{LiveConfig, ServiceConfig};
use http::{Request, Response};
use http_body::Body;
use tokio::task::JoinSet;
use tonic::Status;
use tower::discover::Discover;
use tower_layer::Layer;
use tower_service::Service;

use crate::driver::{Steering, drive};
use crate::future::ResponseFuture;
use crate::published::Cached;
use crate::snapshot::{Owner, Reason, Shared, Slot, Snapshot};

/// Balances calls over a discover stream of endpoint services by the service config's LB policy.
#[derive(Clone, Debug)]
pub struct BalanceLayer {
    config: Config,
}

#[derive(Clone, Debug)]
enum Config {
    Fixed(ServiceConfig),
    Live(LiveConfig),
}

impl BalanceLayer {
    /// Balances by `loadBalancingConfig` of `config`, `pick_first` if it names no policy, and by its
    /// `healthCheckConfig`.
    #[must_use]
    pub fn new(config: &ServiceConfig) -> Self {
        Self {
            config: Config::Fixed(config.clone()),
        }
    }

    /// The same by a config that may change: another policy takes over gracefully, the same one
    /// with another config keeps what it has learnt, and neither loses a connection that it wants
    /// ([`GracefulSwitch`](evenkeel_policy::lb::GracefulSwitch)). Another `healthCheckConfig` counts
    /// from its first answer on.
    #[must_use]
    pub fn live(config: &LiveConfig) -> Self {
        Self {
            config: Config::Live(config.clone()),
        }
    }
}

impl<D> Layer<D> for BalanceLayer
where
    D: Discover + Unpin + Send + 'static,
    D::Key: Hash + Eq + Clone + Send,
    D::Service: Connectivity + Clone + Unpin + Send + Sync + 'static,
    D::Error: Into<BoxError>,
{
    type Service = Balance<D::Service>;

    /// # Panics
    ///
    /// Outside a tokio runtime.
    fn layer(&self, discover: D) -> Self::Service {
        match &self.config {
            Config::Fixed(config) => Balance::steered(discover, Steering::fixed(config)),
            Config::Live(config) => Balance::steered(discover, Steering::live(config)),
        }
    }
}

/// One service over many endpoints.
///
/// `poll_ready` is always ready: whether a call waits or fails while no endpoint is READY is
/// decided call by call ([`WaitForReady`](evenkeel_core::WaitForReady)), so one service-wide
/// readiness would be a lie for some of them.
///
/// # Clone
///
/// Clones share the endpoints, the policy and its task. The last one dropped ends the task; the
/// connections close when the responses that are still running have ended. A call that waits for
/// an endpoint counts as a clone. One that was sent does not: it goes on, but is not placed again
/// when it comes back unsent.
///
/// # Errors
///
/// [`Status`], with a typed source from [`evenkeel_core::error`]:
///
/// | code | source | when |
/// |---|---|---|
/// | UNAVAILABLE | `NoEndpoint` | TRANSIENT_FAILURE, and the call does not wait for ready |
/// | UNAVAILABLE | `ChannelClosed` | the channel was shut down |
/// | DEADLINE_EXCEEDED | `DeadlineExceeded` | the call's deadline passed while it waited for an endpoint |
/// | of the attempt | `AttemptError` | the attempt failed on its way; it names the endpoint |
pub struct Balance<S> {
    owner: Arc<Owner<S>>,
    snapshot: Cached<Snapshot<S>>,
}

impl<S> Balance<S>
where
    S: Connectivity + Clone + Unpin + Send + Sync + 'static,
{
    /// Balances over `discover` by `policy`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new<D>(discover: D, policy: Box<dyn Policy>) -> Self
    where
        D: Discover<Service = S> + Unpin + Send + 'static,
        D::Key: Hash + Eq + Clone + Send,
        D::Error: Into<BoxError>,
    {
        Self::steered(discover, Steering::fixed_policy(policy))
    }

    fn steered<D>(discover: D, steering: Steering) -> Self
    where
        D: Discover<Service = S> + Unpin + Send + 'static,
        D::Key: Hash + Eq + Clone + Send,
        D::Error: Into<BoxError>,
    {
        let shared = Arc::new(Shared::new());
        let owner = Arc::new_cyclic(|owner| {
            let mut tasks = JoinSet::new();
            tasks.spawn(drive(discover, steering, shared.clone(), owner.clone()));
            Owner {
                shared,
                _driver: tasks,
            }
        });
        Self {
            owner,
            snapshot: Cached::empty(),
        }
    }
}

impl<S> Balance<S> {
    /// The channel's connectivity state.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        *self.shared().state.borrow()
    }

    /// Leaves IDLE, as a call would; in every other state it does nothing.
    pub fn connect(&self) {
        if self.state() == ConnectivityState::Idle {
            self.shared().demand.ask();
        }
    }

    /// Ends every running backoff now: endpoints that wait to be dialled are dialled at once.
    pub fn reset_backoff(&self)
    where
        S: Connectivity,
    {
        for slot in self.shared().directory.load().iter() {
            slot.service.reset_backoff();
        }
    }

    /// Waits until the state is another one than `from` and returns it.
    ///
    /// A state that was left again at once may be missed. Cancel safe.
    pub async fn wait_for_state_change(&self, from: ConnectivityState) -> ConnectivityState {
        let mut states = self.shared().state.subscribe();
        let changed = states.wait_for(|state| *state != from).await;
        changed.map_or(ConnectivityState::Shutdown, |state| *state)
    }

    /// Waits until the state is READY, leaving IDLE if necessary.
    ///
    /// Waits for ever while no endpoint can be reached: bound it with a timeout. Cancel safe.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE when the channel was shut down.
    pub async fn wait_until_ready(&self) -> Result<(), Status> {
        let mut states = self.shared().state.subscribe();
        loop {
            match *states.borrow_and_update() {
                ConnectivityState::Ready => return Ok(()),
                ConnectivityState::Shutdown => return Err(closed()),
                ConnectivityState::Idle => self.shared().demand.ask(),
                _ => {}
            }
            states.changed().await.map_err(|_| closed())?;
        }
    }

    /// Every endpoint that discovery gave, in its order, and how it is doing now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointReport> {
        let shared = self.shared();
        let report = |slot: &Arc<Slot<S>>| EndpointReport::of(slot, shared.ejected(slot.id));
        shared.directory.load().iter().map(report).collect()
    }

    /// The service of an endpoint that discovery gave: for the handles that layers around it have.
    #[must_use]
    pub fn endpoint_service(&self, id: EndpointId) -> Option<S>
    where
        S: Clone,
    {
        let directory = self.shared().directory.load();
        let slot = directory.iter().find(|slot| slot.id == id);
        slot.map(|slot| slot.service.clone())
    }

    /// Waits until an endpoint came, went or changed its state, or the policy decided anew, since
    /// this future was made. Cancel safe.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<S> {
        let mut versions = self.shared().version.subscribe();
        // An error means that the channel is gone, which is a change too.
        async move { drop(versions.changed().await) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<S>> {
        &self.owner.shared
    }
}

fn closed() -> Status {
    evenkeel_core::error::ChannelClosed::new("it has no endpoints any more").into()
}

/// How one endpoint of a channel is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointReport {
    /// Its identity within the channel.
    pub id: EndpointId,
    /// Its addresses and metadata.
    pub endpoint: Arc<Endpoint>,
    /// Its connectivity state; an open breaker shows as TRANSIENT_FAILURE, and so does a server that
    /// says that it is not healthy.
    pub state: ConnectivityState,
    /// Why it is in TRANSIENT_FAILURE, or why its connection was lost last.
    pub error: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What its breaker is doing, when there is one.
    pub breaker: Option<BreakerState>,
    /// Why the LB policy sends it no calls, though it is connected: an outlier's ejection, or the
    /// like.
    pub ejected: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// Its live counters.
    pub stats: Arc<EndpointStats>,
}

impl EndpointReport {
    fn of<S>(slot: &Slot<S>, ejected: Option<Reason>) -> Self {
        let report = slot.report.lock().clone();
        Self {
            id: slot.id,
            endpoint: report.endpoint,
            state: report.state,
            error: report.error,
            breaker: report.breaker,
            ejected,
            stats: slot.stats.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for Balance<S>
where
    S: Connectivity + Send + Sync + 'static,
    S::Sender: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: Send + 'static,
    R: Body<Error: Into<BoxError>>,
{
    type Response = Response<crate::EndpointBody<R, S>>;
    type Error = Status;
    type Future = ResponseFuture<S, B>;

    /// Always ready.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let snapshot = self.snapshot.get(&self.owner.shared.snapshot);
        ResponseFuture::start(snapshot, request, &self.owner)
    }
}

impl<S> Clone for Balance<S> {
    fn clone(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            // Read by the first call: most clones of a retrying channel never make one.
            snapshot: Cached::empty(),
        }
    }
}

impl<S> fmt::Debug for Balance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("state", &self.state())
            .field("endpoints", &self.shared().directory.load().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
