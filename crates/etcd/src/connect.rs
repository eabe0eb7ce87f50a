use std::fmt;
use std::future::Future;
use std::sync::Arc;

use etcd_client::{Client, ConnectOptions};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::debug;

use crate::discover::Shares;
use crate::{EtcdConfig, EtcdError};

/// An etcd cluster: what discovery and registration talk to.
///
/// Connects when it is needed first: to one member, chosen at random, and after a failure to the
/// next one in the list.
///
/// # Clone
///
/// Clones share one connection; the last one closes it. Discoveries of one service over clones share
/// one list and one watch.
#[derive(Clone)]
pub struct Etcd {
    shared: Arc<Shared>,
}

struct Shared {
    config: EtcdConfig,
    name: Arc<str>,
    /// The place of the first member to ask: not the same one for every process.
    first: usize,
    /// The discoveries that go on.
    shares: Shares,
    /// Async, because one connects and the others wait for that.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    client: Option<Client>,
    /// Counts connections, so that a late failure of an old one does not end its successor.
    generation: usize,
}

/// A connection that was working when it was taken.
pub(crate) struct Connection {
    pub(crate) client: Client,
    generation: usize,
}

impl Etcd {
    /// The cluster that `config` describes. Nothing is dialled yet.
    ///
    /// # Errors
    ///
    /// [`EtcdError::Config`] names what cannot work.
    pub fn new(config: EtcdConfig) -> Result<Self, EtcdError> {
        let config = config.checked()?;
        let name = format!("etcd {}", config.endpoints.join(", ")).into();
        let shared = Shared {
            first: fastrand::usize(..config.endpoints.len()),
            config,
            name,
            shares: Shares::default(),
            current: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// What it was made of, with times of a year at most.
    #[must_use]
    pub fn config(&self) -> &EtcdConfig {
        &self.shared.config
    }

    /// How reports call it: `etcd http://127.0.0.1:2379`.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    pub(crate) fn shares(&self) -> &Shares {
        &self.shared.shares
    }

    /// A full key, or the start of one.
    pub(crate) fn key(&self, relative: &str) -> String {
        format!("{}{relative}", self.shared.config.prefix)
    }

    /// The present connection, or a new one.
    pub(crate) async fn connection(&self) -> Result<Connection, EtcdError> {
        let connect = async {
            let mut current = self.shared.current.lock().await;
            if let Some(client) = &current.client {
                return Ok(Connection {
                    client: client.clone(),
                    generation: current.generation,
                });
            }
            let config = &self.shared.config;
            current.generation += 1;
            let place = self.shared.first.wrapping_add(current.generation);
            let member = &config.endpoints[place % config.endpoints.len()];
            // With credentials this asks etcd for a token, without it only prepares.
            let client = Client::connect([member], Some(options(config))).await?;
            current.client = Some(client.clone());
            debug!(member, "connecting to etcd");
            Ok(Connection {
                client,
                generation: current.generation,
            })
        };
        self.answer("connect", connect).await
    }

    /// Gives up a connection that has failed: the next one is new, and so is its token.
    pub(crate) async fn discard(&self, generation: usize) {
        let mut current = self.shared.current.lock().await;
        if current.generation == generation {
            current.client = None;
        }
    }

    /// The answer to a request, within the configured time.
    pub(crate) async fn answer<T>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let within = self.shared.config.request_timeout;
        match timeout(within, request).await {
            Ok(answer) => answer.map_err(|error| EtcdError::request(action, error)),
            Err(_) => Err(EtcdError::Timeout { action, within }),
        }
    }
}

impl Connection {
    /// For [`Etcd::discard`].
    pub(crate) const fn generation(&self) -> usize {
        self.generation
    }
}

fn options(config: &EtcdConfig) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(config.connect_timeout)
        .with_keep_alive(config.keep_alive_interval, config.keep_alive_timeout)
        // etcd takes pings on a connection without streams for an attack.
        .with_keep_alive_while_idle(false)
        // A member that has lost its leader serves stale lists and silent watches otherwise.
        .with_require_leader(true);
    if let Some(credentials) = &config.credentials {
        options = options
            .with_user(&credentials.name, &credentials.password)
            .with_auto_token_refresh(true);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &config.tls {
        options = options.with_tls(tls.clone());
    }
    options
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
