mod config;
mod lease;
mod ledger;
mod owned;
mod requests;
mod schedule;
mod worker;

pub use config::RegistrarConfig;

use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::Endpoint;
use evenkeel_discover::{RegisterError, Registrar, Registration};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::{Etcd, EtcdError};
use ledger::Ledger;
use owned::{Owned, encode};
use requests::CHUNK;
use worker::{GOODBYE, Worker, say_goodbye};

/// Writes servers into etcd and keeps them there, for ever.
///
/// All registrations of one registrar hang on one lease, which is renewed every third of its
/// time to live. Whatever happens to lease, keys or etcd, the registrar puts things right again:
///
/// | event | noticed | then |
/// |---|---|---|
/// | etcd is down, or cannot be reached | at once, or after 3 s without an answer | tried again, 0.5 s to [`RegistrarConfig::max_backoff`] apart |
/// | the lease expired or was revoked | at the next renewal | a new lease, all keys written under it |
/// | a key was deleted, or overwritten by hand | at the next renewal | written again under the present lease |
/// | another process has registered the same key | at the next renewal | it came later, so the key is its own: tried again until it is gone, and logged |
/// | etcd refuses a key | at once | tried again, others are not held up |
/// | etcd is full or overloaded | at once | tried again, a hundred keys at a time, and the lease is kept |
/// | a member that hung writes a key late that is to be gone | at the next renewal | deleted again |
///
/// Requests are few: keys are written, looked at and deleted a hundred at a time. Attempts are
/// spread at random, so that many processes do not come back to an etcd all at once.
///
/// Every key carries the lease, so it goes by itself when the process dies. A key is deleted only
/// while it carries our lease, so a late deregistration does not hit a successor. Before an orderly
/// deregistration it is written once more with `status: draining`, if the format has a word for
/// that, so that clients can tell a server that says goodbye from one that was lost.
///
/// # Clone, drop
///
/// Clones share the lease and the background task, which ends when the last clone and the last
/// [`Registration`] are dropped. Keys that are still there then, the last registration's among
/// them if no clone outlives it, expire with the lease; [`Self::shutdown`] and
/// [`Registration::deregister`] take them out at once.
///
/// ```no_run
/// use evenkeel_core::Endpoint;
/// use evenkeel_discover::Registrar;
/// use evenkeel_etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
///
/// # async fn serve(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
/// let etcd = Etcd::new(EtcdConfig::default())?;
/// let registrar = EtcdRegistrar::new(etcd, RegistrarConfig::default())?;
/// let registration = registrar.register("user-service", Endpoint::new(listener.local_addr()?))?;
/// // … serve until it is time to stop …
/// registrar.shutdown().await?;
/// # drop(registration);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EtcdRegistrar {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    etcd: Etcd,
    config: RegistrarConfig,
    shared: Arc<Shared>,
    /// Held while the lease is revoked.
    leaving: tokio::sync::Mutex<()>,
    /// At most one task: the worker.
    tasks: Mutex<JoinSet<()>>,
}

/// Ends all registrations on drop: nobody cares for them any more.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ledger.lock().end();
    }
}

/// What registrations, registrar and worker have in common.
#[derive(Debug, Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Tells the worker that the ledger has changed.
    changed: Notify,
}

impl EtcdRegistrar {
    /// A registrar that has not registered anything, and has not asked etcd for anything.
    ///
    /// # Errors
    ///
    /// [`EtcdError::Config`] for a value out of bounds.
    pub fn new(etcd: Etcd, config: RegistrarConfig) -> Result<Self, EtcdError> {
        config.check()?;
        let inner = Inner {
            etcd,
            config: config.bounded(),
            shared: Arc::default(),
            leaving: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Takes all servers out of etcd, revokes the lease, ends the background task, and then waits
    /// [`RegistrarConfig::propagation_delay`] until clients have heard of it: whoever stops serving
    /// afterwards loses no call. Further registrations are refused.
    ///
    /// Waits for etcd [`RegistrarConfig::shutdown_timeout`] at most. If the future is dropped
    /// before that, the keys expire with the lease, or go when it is called again; who calls it
    /// meanwhile waits for the first one.
    ///
    /// # Errors
    ///
    /// When etcd did not confirm in time; the keys expire with the lease.
    pub async fn shutdown(&self) -> Result<(), EtcdError> {
        let inner = &self.inner;
        // In this order: nobody can start a worker any more, so the one that ends is the last.
        inner.shared.ledger.lock().close();
        let mut tasks = std::mem::take(&mut *inner.tasks.lock());
        tasks.shutdown().await;
        let _one = inner.leaving.lock().await;
        let ended = End(&inner.shared);
        let (lease, goodbyes, listed) = {
            let ledger = inner.shared.ledger.lock();
            (ledger.lease(), ledger.goodbyes(), ledger.is_listed())
        };
        let result = match lease {
            // Large, and a part of the caller's future otherwise.
            Some(lease) => Box::pin(inner.leave(lease, goodbyes)).await,
            None => Ok(()),
        };
        match &result {
            Ok(()) => inner.shared.ledger.lock().lease_lost(),
            Err(error) => {
                warn!("the servers' keys stay in etcd until their lease expires: {error}");
            }
        }
        drop(ended);
        if listed {
            // Also after an error: perhaps only the answer was lost.
            sleep(inner.config.propagation_delay).await;
        }
        result
    }
}

impl Registrar for EtcdRegistrar {
    /// Registers in the background; see [`RegistrarConfig::allow_loopback`] for local addresses.
    ///
    /// # Errors
    ///
    /// As the trait says, and [`RegisterError::NoRuntime`] outside of a Tokio runtime.
    fn register(&self, service: &str, endpoint: Endpoint) -> Result<Registration, RegisterError> {
        let inner = &self.inner;
        let config = &inner.config;
        RegisterError::check(&endpoint, config.allow_loopback)?;
        let codec = &inner.etcd.config().codec;
        let key = inner.etcd.key(&codec.key(service, &endpoint));
        let values = encode(&inner.etcd, service, &endpoint)?;
        let runtime = Handle::try_current().map_err(|_| RegisterError::NoRuntime)?;
        let entry = inner.shared.ledger.lock().enter(&key, values);
        let (id, state) = entry.ok_or(RegisterError::Ended)?;
        info!(service, %endpoint, %key, "registering");
        inner.start(&runtime);
        inner.shared.changed.notify_one();
        let owned = Owned {
            inner: Arc::clone(inner),
            service: service.into(),
            endpoint,
            key,
            id,
        };
        Ok(Registration::new(owned, state).with_patience(config.shutdown_timeout))
    }

    fn reached_at(&self) -> Vec<String> {
        let endpoints = self.inner.etcd.config().endpoints.iter();
        let uris = endpoints.filter_map(|endpoint| endpoint.parse::<http::Uri>().ok());
        let place = |uri: http::Uri| Some(format!("{}:{}", uri.host()?, uri.port_u16()?));
        uris.filter_map(place).collect()
    }
}

impl Inner {
    /// Starts the worker unless it is running; also when its runtime has ended in the meantime.
    fn start(&self, runtime: &Handle) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        if tasks.is_empty() && !self.shared.ledger.lock().is_closed() {
            let worker = Worker::new(self.etcd.clone(), &self.config, Arc::clone(&self.shared));
            tasks.spawn_on(worker.run(), runtime);
        }
    }

    /// Tells clients that the servers are going, if etcd is quick, and takes them out.
    async fn leave(&self, lease: i64, goodbyes: Vec<(String, Vec<u8>)>) -> Result<(), EtcdError> {
        let within = self.config.shutdown_timeout;
        let deadline = Instant::now() + within;
        let goodbye = self.goodbye(lease, &goodbyes, GOODBYE.min(within / 4));
        say_goodbye(within / 2, Box::pin(goodbye)).await;
        self.revoke(lease, deadline).await
    }

    async fn goodbye(
        &self,
        lease: i64,
        goodbyes: &[(String, Vec<u8>)],
        within: Duration,
    ) -> Result<(), EtcdError> {
        for goodbyes in goodbyes.chunks(CHUNK) {
            let goodbyes = goodbyes.iter();
            let goodbyes = goodbyes.map(|(key, value)| (key.as_str(), value.as_slice()));
            if let Some(goodbye) = requests::goodbye(goodbyes, lease) {
                let mut connection = self.etcd.connection().await?;
                let generation = connection.generation();
                let said = Box::pin(connection.client.txn(goodbye));
                self.within(generation, "say goodbye", within, said).await?;
            }
        }
        Ok(())
    }

    /// Revokes the lease, which deletes all keys that carry it.
    async fn revoke(&self, lease: i64, deadline: Instant) -> Result<(), EtcdError> {
        const PAUSE: Duration = Duration::from_millis(100);
        let within = self.config.shutdown_timeout;
        let mut last = EtcdError::silent("revoke the lease", self.etcd.name(), within);
        let revoke = async {
            loop {
                match self.try_revoke(lease).await {
                    Ok(()) => return,
                    Err(error) if error.is_not_found() => return,
                    Err(error) => last = error,
                }
                sleep(PAUSE).await;
            }
        };
        let revoked = timeout_at(deadline, revoke).await;
        revoked.map_err(|_| last)
    }

    async fn try_revoke(&self, lease: i64) -> Result<(), EtcdError> {
        let mut connection = self.etcd.connection().await?;
        let generation = connection.generation();
        let revoke = Box::pin(connection.client.lease_revoke(lease));
        // A member that hangs leaves time to ask another one.
        let within = self.config.shutdown_timeout / 4;
        let revoked = self.within(generation, "revoke the lease", within, revoke);
        revoked.await.map(drop)
    }

    /// The answer of a member in time; one that does not answer is not asked again.
    async fn within<T>(
        &self,
        generation: usize,
        action: &'static str,
        within: Duration,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let answer = self.etcd.answer_within(within, action, request).await;
        if let Err(error) = &answer {
            self.etcd.discard(generation, error).await;
        }
        answer
    }
}

#[cfg(test)]
mod tests;
