mod alive;
mod dial;
mod give_up;
mod members;
mod race;
mod token;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::Client;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::discover::{DiscoverStats, Shares};
use crate::{EtcdConfig, EtcdError};
use dial::ACTION;
use members::Members;
use race::race;

pub(crate) use dial::endpoint;
pub(crate) use token::is_about_token;

/// A password that etcd has refused is not sent again for this long.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// When a member dies, all its clients come to the others, within this long.
const RECONNECT_WITHIN: Duration = Duration::from_millis(200);

/// An etcd cluster: what discovery and registration talk to.
///
/// Connects when it is needed first: to a member chosen at random, and when that has not answered
/// within a quarter of a second, also to the next one. The first to answer is used until it fails;
/// who has failed is asked last for half a minute. So a member that is down, hangs or has lost its
/// leader costs a moment while another one is well.
///
/// With [`EtcdConfig::credentials`], a token that has expired or is outdated is replaced by
/// authenticating again, and what was asked for is asked again. A password that etcd refuses is
/// reported at once and tried again every 5 s; what is watched meanwhile stays watched.
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
    config: Arc<EtcdConfig>,
    name: Arc<str>,
    /// The discoveries that go on.
    shares: Shares,
    members: parking_lot::Mutex<Members>,
    /// Async, because one connects and the others wait for that.
    current: Mutex<Current>,
    /// Attempts that have failed, so that who has waited for one does not begin the next.
    failures: AtomicUsize,
    in_use: parking_lot::Mutex<InUse>,
    /// The last connection that was given up.
    given_up: watch::Sender<usize>,
}

#[derive(Default)]
struct Current {
    client: Option<Client>,
    /// Counts connections, so that a late failure of an old one does not end its successor.
    generation: usize,
    failure: Option<EtcdError>,
    /// When to authenticate again after a refusal.
    refused_until: Option<Instant>,
}

/// The member behind the present connection, or the last one.
struct InUse {
    member: Arc<str>,
    connected: bool,
    /// When it answered last.
    heard_at: Instant,
    /// Since when it has answered nothing but checks.
    slow_since: Option<Instant>,
    /// Not before then to ask for all members.
    sync_at: Option<Instant>,
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
        let name: Arc<str> = format!("etcd {}", config.endpoints.join(", ")).into();
        // In another order in each process: whose member dies does not go to the same next one.
        let mut order = config.endpoints.clone();
        fastrand::shuffle(&mut order);
        let in_use = InUse {
            member: Arc::clone(&name),
            connected: false,
            heard_at: Instant::now(),
            slow_since: None,
            sync_at: None,
        };
        let shared = Shared {
            members: parking_lot::Mutex::new(Members::new(&order, 0)),
            config: Arc::new(config),
            name,
            shares: Shares::default(),
            current: Mutex::default(),
            failures: AtomicUsize::new(0),
            in_use: parking_lot::Mutex::new(in_use),
            given_up: watch::Sender::new(0),
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

    /// The URL of the member in use, for logs and metrics; none while there is no connection.
    #[must_use]
    pub fn member(&self) -> Option<Arc<str>> {
        let in_use = self.shared.in_use.lock();
        in_use.connected.then(|| Arc::clone(&in_use.member))
    }

    /// How the discovery of `service` over this `Etcd` and its clones is doing, channels' included;
    /// none while nobody discovers it.
    #[must_use]
    pub fn discover_stats(&self, service: &str) -> Option<Arc<DiscoverStats>> {
        self.shared.shares.stats(service)
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

    /// The present connection, or a new one to the first member that answers. An error says that
    /// all were asked in vain: it is time to wait.
    pub(crate) async fn connection(&self) -> Result<Connection, EtcdError> {
        // What it takes to connect is large, and would be a part of every caller's future.
        Box::pin(self.connected()).await
    }

    async fn connected(&self) -> Result<Connection, EtcdError> {
        let shared = &self.shared;
        let failures = shared.failures.load(Ordering::Acquire);
        let mut current = shared.current.lock().await;
        let waited = failures != shared.failures.load(Ordering::Acquire);
        let now = Instant::now();
        let refused = current.refused_until.is_some_and(|until| now < until);
        if let Some(client) = &current.client
            && current.refused_until.is_none()
        {
            return Ok(Connection {
                client: client.clone(),
                generation: current.generation,
            });
        }
        if let Some(error) = current.failure.as_ref().filter(|_| waited || refused) {
            return Err(error.clone());
        }
        let connected = match current.client.clone() {
            // Its token is outdated, and the password was refused.
            Some(mut client) => self.authenticate(&mut client).await.map(|()| client),
            None => {
                if current.generation > 0 && current.failure.is_none() {
                    sleep(RECONNECT_WITHIN.mul_f64(fastrand::f64())).await;
                }
                self.connect().await
            }
        };
        match connected {
            Ok(client) => {
                let is_new = current.client.is_none();
                if is_new {
                    current.generation += 1;
                    current.client = Some(client.clone());
                    let mut in_use = shared.in_use.lock();
                    in_use.connected = true;
                    in_use.slow_since = None;
                }
                current.failure = None;
                current.refused_until = None;
                let generation = current.generation;
                drop(current);
                if is_new {
                    self.sync_if_due(&client).await;
                }
                Ok(Connection { client, generation })
            }
            Err(error) => {
                let until = Instant::now() + AFTER_REFUSAL;
                current.refused_until = error.is_refusal().then_some(until);
                current.failure = Some(error.clone());
                shared.failures.fetch_add(1, Ordering::Release);
                let generation = current.generation;
                drop(current);
                self.discard(generation, &error).await;
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Client, EtcdError> {
        let shared = &self.shared;
        let order = shared.members.lock().order(Instant::now().into_std());
        let outcome = race(Arc::clone(&shared.config), order).await;
        for member in &outcome.failed {
            self.blame(member);
        }
        let (member, mut client) = outcome.winner?;
        shared.in_use.lock().member = Arc::clone(&member);
        if let Err(error) = self.authenticate(&mut client).await {
            if error.is_about_the_member() {
                self.blame(&member);
            }
            return Err(error);
        }
        shared.members.lock().well(&member);
        debug!(%member, "connected to etcd");
        Ok(client)
    }

    async fn authenticate(&self, client: &mut Client) -> Result<(), EtcdError> {
        let authenticated = dial::authenticate(&self.shared.config, client);
        self.answer(ACTION, authenticated).await
    }

    /// The answer to a request, within the configured time.
    pub(crate) async fn answer<T>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let within = self.shared.config.request_timeout;
        self.answer_within(within, action, request).await
    }

    /// The answer to a request that has less time than others.
    pub(crate) async fn answer_within<T>(
        &self,
        within: Duration,
        action: &'static str,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let within = within.min(self.shared.config.request_timeout);
        let answer = timeout(within, Box::pin(request)).await;
        let mut in_use = self.shared.in_use.lock();
        match answer {
            Ok(Ok(answer)) => {
                in_use.heard_at = Instant::now();
                if action != alive::CHECK {
                    in_use.slow_since = None;
                }
                Ok(answer)
            }
            Ok(Err(error)) => Err(EtcdError::request(action, error).at(&in_use.member)),
            Err(_) => {
                in_use.slow_since.get_or_insert_with(Instant::now);
                Err(EtcdError::silent(action, &in_use.member, within))
            }
        }
    }

    /// Something came on a stream of the present connection.
    pub(crate) fn heard(&self) {
        self.shared.in_use.lock().heard_at = Instant::now();
    }

    fn blame(&self, member: &str) {
        let now = Instant::now().into_std();
        self.shared.members.lock().failed(member, now);
    }
}

impl Connection {
    /// For [`Etcd::discard`].
    pub(crate) const fn generation(&self) -> usize {
        self.generation
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
