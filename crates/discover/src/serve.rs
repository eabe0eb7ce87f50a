mod error;
#[cfg(feature = "signal")]
mod signal;

pub use error::ServeError;
#[cfg(feature = "signal")]
pub use signal::shutdown_signal;

use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::{BoxError, Endpoint, Metadata};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::{Advertise, Registrar, Registration, RegistrationState};

/// Runs a server that is registered while it serves, and that goes without losing a call.
///
/// | | |
/// |---|---|
/// | start | the server runs; then [`Self::ready`], if given; then it is registered |
/// | [`Self::until`] | taken out of the registry, which gets as long as its registrar says (etcd: 3 s) |
/// | + [`ServeConfig::propagation_delay`] | still serving, until clients have heard of it |
/// | + [`ServeConfig::drain_timeout`] | told to stop, until its calls and streams have ended |
///
/// The registry is never waited for otherwise: one that is not there keeps the server neither from
/// serving nor from ending. A server that does not start is not registered.
///
/// It works with every server that is a future and can be told to stop:
///
/// ```
/// # use std::future::Future;
/// # use std::io;
/// use evenkeel_discover::{MemoryRegistry, Serve};
///
/// # struct Server;
/// # impl Server {
/// #     async fn serve(_: tokio::net::TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
/// #         stop.await;
/// #         Ok(())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let registrar = MemoryRegistry::new(); // or EtcdRegistrar, or both in Registrars
/// # let ctrl_c = async {};
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// Serve::new(&registrar, "user-service").until(ctrl_c).run(listener.local_addr()?, |stop| {
///     // tonic: Server::builder().add_service(users)
///     //     .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
///     Server::serve(listener, stop)
/// }).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is served before `run`"]
pub struct Serve<'a> {
    registrar: &'a dyn Registrar,
    services: Vec<String>,
    config: ServeConfig,
    until: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    cut_off: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ready: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>,
}

/// How a server is registered, and how it ends.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct ServeConfig {
    /// The address it is registered under. Default: from the environment, the listener, or the
    /// route to the registry.
    pub advertise: Advertise,
    /// What it says of itself. Default nothing.
    pub metadata: Metadata,
    /// How long it goes on serving after it was taken out of the registry, so that clients hear of
    /// it first. Default 1 s; 0 does not wait.
    pub propagation_delay: Duration,
    /// How long calls and streams may go on after it was told to stop; then the server's future is
    /// dropped. Connections that are tasks of the runtime, as tonic's are, go on until that ends:
    /// return from `main`. Default 30 s; 0 drops it at once.
    pub drain_timeout: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            advertise: Advertise::default(),
            metadata: Metadata::default(),
            propagation_delay: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How a server has ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The registry has confirmed that it is out; otherwise its entry expires.
    pub deregistered: bool,
    /// Its calls had ended; otherwise some were not waited for.
    pub drained: bool,
}

/// Resolves when the server is to take no more calls and to end those it has.
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

impl<'a> Serve<'a> {
    /// A server of `service`, registered by `registrar`, that runs until it ends by itself.
    pub fn new(registrar: &'a dyn Registrar, service: impl Into<String>) -> Self {
        Self {
            registrar,
            services: vec![service.into()],
            config: ServeConfig::default(),
            until: Box::pin(std::future::pending()),
            cut_off: Box::pin(std::future::pending()),
            ready: Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// The same server also serves `service`.
    pub fn and(mut self, service: impl Into<String>) -> Self {
        self.services.push(service.into());
        self
    }

    /// The same with another config.
    pub fn config(mut self, config: ServeConfig) -> Self {
        self.config = config;
        self
    }

    /// The same until `signal` resolves.
    pub fn until(mut self, signal: impl Future<Output = ()> + Send + 'a) -> Self {
        self.until = Box::pin(signal);
        self
    }

    /// The same, but it does not go on with ending once `signal` resolves, which is first polled
    /// when [`Self::until`] has resolved: a second [`shutdown_signal`](crate::shutdown_signal) is
    /// for those who cannot wait. What is left in the registry expires.
    pub fn cut_off(mut self, signal: impl Future<Output = ()> + Send + 'a) -> Self {
        self.cut_off = Box::pin(signal);
        self
    }

    /// The same, registered only after `check` has succeeded: a first call to itself, or caches
    /// that have to be warm. The server is running by then. It ends when the check fails.
    pub fn ready<E: Into<BoxError>>(
        mut self,
        check: impl Future<Output = Result<(), E>> + Send + 'a,
    ) -> Self {
        self.ready = Box::pin(async { check.await.map_err(Into::into) });
        self
    }

    /// Runs the server that `server` makes, which already listens on `bound`.
    ///
    /// Dropping the future drops the server and takes it out of the registry in the background.
    ///
    /// # Errors
    ///
    /// When it cannot be registered whatever happens, when it is not ready, or when it fails; then
    /// what was registered is taken out of the registry before.
    pub async fn run<F, E>(
        self,
        bound: SocketAddr,
        server: impl FnOnce(Stop) -> F,
    ) -> Result<Served, ServeError>
    where
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let (stop, stopped) = oneshot::channel();
        let server = server(Stop(stopped));
        let mut server = pin!(async {
            server
                .await
                .map_err(|error| ServeError::Server(error.into()))
        });
        let mut entries = Entries::default();
        let Self {
            registrar,
            services,
            config,
            mut until,
            cut_off,
            ready,
        } = self;
        let registering = async {
            ready.await.map_err(ServeError::NotReady)?;
            entries.enter(registrar, &services, bound, &config).await
        };
        // The server first, always: one that fails to start is not registered.
        let ended = tokio::select! {
            biased;
            ended = &mut server => Some(ended),
            () = &mut until => None,
            registered = registering => {
                if let Err(error) = registered {
                    // Those that were registered before the one that is refused.
                    entries.leave().await;
                    return Err(error);
                }
                tokio::select! {
                    biased;
                    ended = &mut server => Some(ended),
                    () = &mut until => None,
                }
            }
        };
        if let Some(ended) = ended {
            let deregistered = entries.leave().await;
            return ended.map(|()| Served {
                deregistered,
                drained: true,
            });
        }
        tokio::select! {
            biased;
            served = end(server, stop, &mut entries, &config) => served,
            () = cut_off => {
                warn!("told not to wait for the registry and for running calls");
                let (deregistered, drained) = (false, false);
                Ok(Served { deregistered, drained })
            }
        }
    }
}

/// Takes the server out of the registry, lets clients hear of it, and then has it end.
async fn end(
    mut server: Pin<&mut impl Future<Output = Result<(), ServeError>>>,
    stop: oneshot::Sender<()>,
    entries: &mut Entries,
    config: &ServeConfig,
) -> Result<Served, ServeError> {
    let any = !entries.0.is_empty();
    let leaving = async {
        let deregistered = entries.leave().await;
        if any {
            sleep(config.propagation_delay).await;
        }
        deregistered
    };
    let mut leaving = pin!(leaving);
    let deregistered = tokio::select! {
        biased;
        ended = &mut server => {
            let deregistered = leaving.await;
            return ended.map(|()| Served { deregistered, drained: true });
        }
        deregistered = &mut leaving => deregistered,
    };
    info!("finishing running calls");
    // Nobody listens when the server does not care.
    let _ = stop.send(());
    let drained = match timeout(config.drain_timeout, server).await {
        Ok(ended) => ended.map(|()| true)?,
        Err(_) => {
            let after = config.drain_timeout;
            warn!(?after, "calls were still running, and are not waited for");
            false
        }
    };
    Ok(Served {
        deregistered,
        drained,
    })
}

/// The server's entries: one for each service.
#[derive(Default)]
struct Entries(Vec<Registration>);

impl Entries {
    async fn enter(
        &mut self,
        registrar: &dyn Registrar,
        services: &[String],
        bound: SocketAddr,
        config: &ServeConfig,
    ) -> Result<(), ServeError> {
        let registry = registrar.reached_at();
        let advertised = config.advertise.choose(bound, &registry).await?;
        for service in services {
            info!(%service, %bound, "advertising {advertised}");
            let endpoint = Endpoint::new(advertised.address.clone());
            let endpoint = endpoint.with_metadata(config.metadata.clone());
            let registration = registrar.register(service, endpoint);
            let registration = registration.map_err(|source| ServeError::Register {
                source,
                by: advertised.by.clone(),
            })?;
            self.0.push(registration);
        }
        Ok(())
    }

    /// Takes all of them out at the same time; whether the registry has confirmed it.
    async fn leave(&mut self) -> bool {
        let registrations = std::mem::take(&mut self.0);
        for registration in &registrations {
            registration.leave();
        }
        let mut confirmed = true;
        let within = registrations.iter().map(Registration::patience).max();
        let all = async {
            for registration in registrations {
                let mut state = registration.watch();
                let gone =
                    |state: &RegistrationState| matches!(state, RegistrationState::Deregistered);
                // An error says that the registrar is gone.
                let _ = state.wait_for(gone).await;
            }
        };
        if timeout(within.unwrap_or_default(), all).await.is_err() {
            warn!(
                ?within,
                "not confirmed that the server is out of the registry; its entry expires"
            );
            confirmed = false;
        }
        confirmed
    }
}

impl Future for Stop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl fmt::Debug for Serve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("registrar", &self.registrar)
            .field("services", &self.services)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
