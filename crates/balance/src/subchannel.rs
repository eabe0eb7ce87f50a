//! The connection slot of one endpoint, with a connectivity state.

mod driver;
mod health;
mod oob;
mod pool;
#[cfg(test)]
mod scripted;
mod state;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::error::{AttemptError, chain};
use evenkeel_core::{
    Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream, Outcome,
    Report,
};
use evenkeel_policy::backoff::BackoffConfig;
use evenkeel_transport::{Connect, Connection, RequestBody};
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tower_service::Service;

pub use self::pool::Admission;
pub(crate) use self::pool::LeftBehind;
use self::pool::{Place, Pool};
use self::state::{LoadWatch, Reports, State};

/// How subchannels connect.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SubchannelConfig {
    /// Delays between connection attempts.
    pub backoff: BackoffConfig,
    /// How long one address of an endpoint is tried before the next one is tried beside it
    /// (Happy Eyeballs, gRFC A61). Default 250 ms; used within 100 ms to 2 s.
    pub head_start: Duration,
    /// Whether servers are asked for their health where the service config says so
    /// (`healthCheckConfig`, gRFC A17). Default: true.
    pub health_checks: bool,
    /// How many connections to one endpoint the service config may ask for
    /// (`connectionScaling.maxConnectionsPerSubchannel`, gRFC A105); more counts as this. Default: 10; at
    /// least 1.
    pub connection_limit: u32,
}

impl Default for SubchannelConfig {
    fn default() -> Self {
        Self {
            backoff: BackoffConfig::default(),
            head_start: Duration::from_millis(250),
            health_checks: true,
            connection_limit: 10,
        }
    }
}

impl SubchannelConfig {
    /// Within its bounds.
    fn head_start(&self) -> Duration {
        self.head_start
            .clamp(Duration::from_millis(100), Duration::from_secs(2))
    }
}

/// The connection slot of one endpoint: a service that sends requests over the endpoint's
/// connection, and a [`Connectivity`] that the balancer watches and drives.
///
/// It starts IDLE. From the first time it is asked to connect, a task of its own dials, waits
/// between attempts, and notices the end of the connection. A request while it is not connected
/// comes back unsent: its error holds the request.
///
/// If it is to [check health](Connectivity::check_health) (gRFC A17), it asks its server over its oldest
/// connection as soon as there is one, and is CONNECTING until the answer, TRANSIENT_FAILURE while
/// the server is not SERVING, and READY else. Requests that are sent all the same are not held up.
///
/// If it is [allowed](Connectivity::allow_connections) more than one connection (gRFC A105), the balancer's attempts
/// take the oldest one that has a stream to spare, and wait for one in the order in which they came;
/// another connection is made for those that wait, one attempt at a time. Only the oldest one is watched:
/// health and load are told over it, and requests by [`Service::call`] go over it, without a queue.
///
/// # Clone
///
/// Clones share the connections. The last one dropped ends the task and, once the running
/// responses have ended, the connection.
pub struct Subchannel<C: Connect> {
    owner: Arc<Owner<C>>,
    reports: Option<Reports<C::Connection>>,
}

struct Owner<C: Connect> {
    state: Arc<State<C::Connection>>,
    means: Arc<Means<C>>,
    runtime: Handle,
    /// From the first time it is asked to connect: many of many endpoints may never be.
    driver: OnceLock<JoinHandle<()>>,
}

/// How to connect, whatever the endpoint: one for all subchannels of a channel.
pub(crate) struct Means<C> {
    pub(crate) connector: C,
    pub(crate) config: SubchannelConfig,
}

impl<C: Connect> Owner<C> {
    fn start(&self) {
        self.driver.get_or_init(|| {
            let driver = driver::drive(self.state.clone(), self.means.clone());
            self.runtime.spawn(driver)
        });
    }
}

impl<C: Connect> Drop for Owner<C> {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }
}

impl<C: Connect> Subchannel<C> {
    /// A subchannel to `endpoint`, IDLE. Must be called within a tokio runtime, which will run its
    /// task.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, connector: C, config: SubchannelConfig) -> Self {
        Self::with_means(endpoint, Arc::new(Means { connector, config }))
    }

    pub(crate) fn with_means(endpoint: Arc<Endpoint>, means: Arc<Means<C>>) -> Self {
        Self {
            owner: Arc::new(Owner {
                state: Arc::new(State::new(endpoint)),
                means,
                runtime: Handle::current(),
                driver: OnceLock::new(),
            }),
            reports: None,
        }
    }

    /// The present report.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared().report()
    }

    /// Replaces the endpoint's metadata; connections stay. The new endpoint must reach the same
    /// server.
    pub(crate) fn set_endpoint(&self, endpoint: Arc<Endpoint>) {
        self.shared().set_endpoint(endpoint);
    }

    fn shared(&self) -> &State<C::Connection> {
        &self.owner.state
    }

    /// Admits to one of several connections.
    #[cold]
    fn admit_to_pool(&self) -> Result<Admitted<C::Connection>, BoxError> {
        let state = self.shared();
        match state.pool.get().and_then(Pool::admit) {
            Some((sender, admission, looks)) => {
                if looks {
                    state.ask(state::Ask::Scale);
                }
                Ok((sender, admission))
            }
            None => Err(self.not_connected().into()),
        }
    }

    #[cold]
    fn oldest_of_pool(&self) -> Option<Arc<C::Connection>> {
        self.shared().pool.get()?.oldest()
    }

    #[cold]
    fn not_connected(&self) -> NotConnected {
        let Report {
            endpoint,
            state,
            error,
            ..
        } = self.report();
        NotConnected {
            endpoint,
            state,
            error: error.map(|error| chain(&*error)),
        }
    }
}

impl<C: Connect> Clone for Subchannel<C> {
    fn clone(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            reports: None,
        }
    }
}

impl<C: Connect> Connectivity for Subchannel<C> {
    type Sender = Connected<C::Connection>;
    type Admission = Admission<C::Connection>;

    #[inline]
    fn admit(&self, _: Admit) -> Result<Admitted<C::Connection>, BoxError> {
        match self.shared().connection.load_full() {
            Some(connection) => Ok((Connected::over(connection), Admission::uncounted())),
            None => self.admit_to_pool(),
        }
    }

    #[inline]
    fn settle(&self, admission: Self::Admission, _: Outcome, _: &str) {
        drop(admission);
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let state = &self.owner.state;
        self.reports
            .get_or_insert_with(|| Reports::new(state.clone()))
            .poll_next(cx)
            .map(Some)
    }

    fn connect(&self) {
        self.owner.start();
        self.shared().ask(state::Ask::Connect);
    }

    fn disconnect(&self) {
        self.shared().ask(state::Ask::Disconnect);
    }

    fn reset_backoff(&self) {
        self.shared().ask(state::Ask::ResetBackoff);
    }

    fn stream_load(&self, wanted: Option<&LoadStream>, stats: &Arc<EndpointStats>) {
        let watch = wanted.map(|stream| LoadWatch {
            stream: stream.clone(),
            stats: stats.clone(),
        });
        self.shared().stream_load(watch);
    }

    fn check_health(&self, service: Option<&Arc<str>>) {
        let service = service.filter(|_| self.owner.means.config.health_checks);
        self.shared().check_health(service);
    }

    fn allow_connections(&self, most: u32) {
        let limit = self.owner.means.config.connection_limit.max(1);
        self.shared().scale(most.clamp(1, limit) as usize);
    }
}

type Admitted<H> = (Connected<H>, Admission<H>);

impl<C, B> Service<Request<B>> for Subchannel<C>
where
    C: Connect,
    B: RequestBody,
{
    type Response = Response<<C::Connection as Connection>::ResponseBody>;
    type Error = Status;
    type Future = SubchannelFuture<C, B>;

    /// Always ready: whether there is a connection is known, and told, per request.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(connection) = self.owner.state.connection.load().as_deref() {
            return SubchannelFuture::sent(connection.send(request));
        }
        match self.oldest_of_pool() {
            Some(connection) => SubchannelFuture::sent(connection.send(request)),
            None => {
                let error = AttemptError::unsent(request, self.not_connected());
                SubchannelFuture::refused(error.into_status(Code::Unavailable))
            }
        }
    }
}

impl<C: Connect> fmt::Debug for Subchannel<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report();
        f.debug_struct("Subchannel")
            .field("endpoint", &report.endpoint)
            .field("state", &report.state)
            .finish_non_exhaustive()
    }
}

/// A connection of a subchannel, for one attempt; ready when it has a stream to spare.
///
/// Its error while it waits for one is that the last connection is lost: the attempt may go elsewhere.
pub struct Connected<H>(Way<H>);

enum Way<H> {
    /// Over the only one.
    Over(Arc<H>),
    /// Over the first of several that has a stream to spare.
    Pooled(Arc<Place<H>>),
}

impl<H> Connected<H> {
    pub(crate) const fn over(connection: Arc<H>) -> Self {
        Self(Way::Over(connection))
    }

    const fn pooled(place: Arc<Place<H>>) -> Self {
        Self(Way::Pooled(place))
    }
}

impl<H> fmt::Debug for Connected<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = match &self.0 {
            Way::Over(_) => false,
            Way::Pooled(place) => place.waits(),
        };
        f.debug_struct("Connected").field("waits", &waits).finish()
    }
}

impl<H, B> Service<Request<B>> for Connected<H>
where
    H: Connection,
    B: RequestBody,
{
    type Response = Response<H::ResponseBody>;
    type Error = Status;
    type Future = H::Future<B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &self.0 {
            Way::Over(_) => Poll::Ready(Ok(())),
            Way::Pooled(place) => place.poll_ready(cx).map_err(left_behind),
        }
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &self.0 {
            Way::Over(connection) => connection.send(request),
            Way::Pooled(place) => place.send(|connection| connection.send(request)),
        }
    }
}

#[cold]
fn left_behind(error: LeftBehind) -> Status {
    let mut status = Status::unavailable(error.to_string());
    status.set_source(Arc::new(error));
    status
}

/// A request met a subchannel that was not connected.
#[derive(Debug, thiserror::Error)]
#[error("not connected to {endpoint}: {state}{}", .error.as_ref().map(|e| format!(", {e}")).unwrap_or_default())]
struct NotConnected {
    endpoint: Arc<Endpoint>,
    state: ConnectivityState,
    error: Option<String>,
}

mod future;
pub use future::SubchannelFuture;

#[cfg(test)]
mod tests;
