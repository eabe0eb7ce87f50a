use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_balance::{EndpointBody, EndpointReport};
use evenkeel_core::{ConnectivityState, EndpointId};
use evenkeel_resilience::BreakerHandle;
use evenkeel_resilience::ResponseBody as CallBody;
use evenkeel_service_config::{ConfigError, LiveConfig, ServiceConfig};
use evenkeel_transport::{Connect, Connection, Connector};
use http::Request;
use tokio::task::JoinSet;
use tonic::Status;
use tower_service::Service;

use crate::resolve::resolve_again;
use crate::source::ResolveNow;
use crate::stack::{Balanced, Guarded, Stack};
use crate::watch::Watch;
use crate::{BuildError, ChannelBuilder};

/// One channel to one service, over as many endpoints as it has. It takes the place of
/// `tonic::transport::Channel` under a generated client.
///
/// It starts CONNECTING and connects by itself; calls wait for the first endpoint. What it does is
/// decided by the service config: see [`ChannelBuilder`].
///
/// # Clone
///
/// Clones are cheap and share everything. The last one dropped ends every task of the channel; its
/// connections close when the responses that are still running have ended.
///
/// # Errors
///
/// [`Status`], with the code gRPC wants and a typed source from [`errors`](crate::errors): the
/// deadline is DEADLINE_EXCEEDED, whatever cannot be reached is UNAVAILABLE and names each
/// endpoint with its last error.
///
/// # Cancel safety
///
/// Dropping a call's future, or its response, cancels the call: queued, between two attempts or on
/// the wire, where the server sees RST_STREAM.
pub struct Channel<C: Connect = Connector> {
    service: Stack<C>,
    balance: Balanced<C>,
    shared: Arc<Shared>,
    /// Whether this clone has been called.
    is_called: bool,
}

struct Shared {
    target: Arc<str>,
    config: LiveConfig,
    watch: Watch,
    /// Asks a source that can be asked, when endpoints fail.
    _resolve_again: Option<JoinSet<()>>,
}

/// The future of a call.
pub type ResponseFuture<C = Connector> = <Stack<C> as Service<Request<tonic::body::Body>>>::Future;

/// The body of a response.
pub type ResponseBody<C = Connector> =
    CallBody<EndpointBody<<<C as Connect>::Connection as Connection>::ResponseBody, Guarded<C>>>;

impl Channel {
    /// A channel to `target`: see [`Target`](crate::Target) for the forms it may have. What finds
    /// the endpoints depends on the scheme:
    ///
    /// | scheme | endpoints |
    /// |---|---|
    /// | `etcd` | registered in etcd under `<path>/` |
    /// | `dns` | the addresses of `host:port`, or SRV records; the authority is the DNS server to ask (feature `dns`) |
    /// | `file` | in the YAML or JSON file at that path; `#service` picks one of several services (feature `file`) |
    /// | `memory` | registered in the [`MemoryRegistry`](crate::MemoryRegistry) given to the builder |
    /// | `static`, or none | the addresses in the target, separated by commas |
    /// | `unix`, `unix-abstract` | that socket |
    ///
    /// With [`ChannelBuilder::discover`] the scheme does not matter.
    pub fn builder(target: impl AsRef<str>) -> ChannelBuilder {
        ChannelBuilder::new(target.as_ref())
    }

    /// A channel to `target` with defaults.
    ///
    /// # Errors
    ///
    /// As [`ChannelBuilder::build`].
    pub fn new(target: impl AsRef<str>) -> Result<Self, BuildError> {
        Self::builder(target).build()
    }
}

impl<C: Connect> Channel<C> {
    /// The same as [`Channel::builder`], but connecting by something else than [`Connector`]: another
    /// transport, an in-memory network. The channel's authority is then the connector's business.
    pub fn builder_by(target: impl AsRef<str>, connector: C) -> ChannelBuilder<C> {
        ChannelBuilder::by(target.as_ref(), connector)
    }

    pub(crate) fn over(
        service: Stack<C>,
        config: LiveConfig,
        target: &str,
        resolve_now: Option<ResolveNow>,
    ) -> Self {
        let balance = service.get_ref().clone();
        let target = Arc::<str>::from(target);
        let watch = Watch::start(Arc::clone(&target), &config);
        let resolve_again = resolve_now.map(|resolve_now| {
            let mut task = JoinSet::new();
            task.spawn(resolve_again(balance.clone(), resolve_now));
            task
        });
        Self {
            service,
            balance,
            shared: Arc::new(Shared {
                target,
                config,
                watch,
                _resolve_again: resolve_again,
            }),
            is_called: false,
        }
    }

    /// What it was dialled by.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.shared.target
    }

    /// The service config that is in force; what it comes to says
    /// [`explain`](ServiceConfig::explain).
    #[must_use]
    pub fn service_config(&self) -> ServiceConfig {
        self.shared.config.current()
    }

    /// Replaces the service config. Calls that start from now on go by it; those that are running
    /// keep theirs. No connection is lost, and another LB policy takes over when it can serve.
    ///
    /// It is read as the builder was told to read the first one, and what changes is logged.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where; then the config stays what it was.
    pub fn update_service_config(&self, json: &str) -> Result<(), ConfigError> {
        let updated = self.shared.config.update(json);
        if let Err(error) = &updated {
            let target = &self.shared.target;
            tracing::warn!(%target, "service config refused, the old one stays: {error}");
        }
        updated
    }

    /// Its connectivity state.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.balance.state()
    }

    /// Leaves IDLE, as a call would; in every other state it does nothing.
    pub fn connect(&self) {
        self.balance.connect();
    }

    /// Ends every running backoff now: endpoints that wait to be dialled are dialled at once. For
    /// when something outside says that the network is back.
    pub fn reset_backoff(&self) {
        self.balance.reset_backoff();
    }

    /// Waits until the state is another one than `from` and returns it. A state that was left at
    /// once may be missed. Cancel safe.
    pub async fn wait_for_state_change(&self, from: ConnectivityState) -> ConnectivityState {
        self.balance.wait_for_state_change(from).await
    }

    /// Waits until the channel is READY, leaving IDLE if necessary. Waits for ever while no
    /// endpoint can be reached: bound it with a timeout. Cancel safe.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE when the channel was shut down.
    pub async fn wait_until_ready(&self) -> Result<(), Status> {
        self.balance.wait_until_ready().await
    }

    /// Every endpoint that discovery gave, in its order, and how it is doing now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointReport> {
        self.balance.endpoints()
    }

    /// The breaker of an endpoint: to see what it counts, to watch it, and to open or close it by
    /// hand. `None` if the endpoint is gone; the handle outlives it.
    ///
    /// ```no_run
    /// # fn example(channel: &evenkeel::Channel) {
    /// for one in channel.endpoints() {
    ///     if let Some(breaker) = channel.breaker(one.id) {
    ///         println!("{}: {:?}", one.endpoint, breaker.status());
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn breaker(&self, endpoint: EndpointId) -> Option<BreakerHandle> {
        let service = self.balance.endpoint_service(endpoint)?;
        Some(service.handle())
    }

    /// Waits until an endpoint came, went or changed its state or metadata since this future was
    /// made. Cancel safe.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<C> {
        self.balance.changed()
    }
}

impl<C: Connect> Service<Request<tonic::body::Body>> for Channel<C> {
    type Response = http::Response<ResponseBody<C>>;
    type Error = Status;
    type Future = ResponseFuture<C>;

    /// Always ready: whether a call waits or fails is decided call by call.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Service::<Request<tonic::body::Body>>::poll_ready(&mut self.service, cx)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        if !self.is_called {
            self.is_called = true;
            self.shared.watch.note_call();
        }
        self.service.call(request)
    }
}

const _: () = {
    const fn is_a_grpc_service<T>()
    where
        T: tonic::client::GrpcService<tonic::body::Body, ResponseBody: Send + 'static>,
        T: Clone + Send + Sync + 'static,
    {
    }
    is_a_grpc_service::<Channel>();
};

impl<C: Connect> Clone for Channel<C> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            balance: self.balance.clone(),
            shared: Arc::clone(&self.shared),
            is_called: self.is_called,
        }
    }
}

impl<C: Connect> fmt::Debug for Channel<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.shared.target)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
