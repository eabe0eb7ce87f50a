mod entries;
mod follow;
mod stats;

pub use stats::CacheStats;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{BoxError, Endpoint};
use futures_core::Stream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::discover::Discover;

use crate::source::{Source, now};
use crate::{Change, DiscoverError, EndpointKey};
use entries::{Entries, Entry, Looked};
use follow::{Follow, Known};

/// How a [`DiscoverCache`] keeps services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How long a service that nobody asks for is still watched after its first answer. Default 30 s.
    pub ttl: Duration,
    /// When a source that ends is opened again; those of this crate never end. Default 10 s; at
    /// least 10 ms.
    pub refresh: Duration,
    /// How many services are watched at most; the one that was asked for longest ago goes, but for
    /// those who wait for its first answer. Default 1000; at least 1.
    pub capacity: usize,
    /// How long the first answer of a service is waited for. Default 5 s.
    pub timeout: Duration,
    /// How long the last list is given while the source cannot be asked. Default 5 min; 0 for not at
    /// all.
    pub max_stale: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            refresh: Duration::from_secs(10),
            capacity: 1000,
            timeout: Duration::from_secs(5),
            max_stale: Duration::from_secs(300),
        }
    }
}

/// Answers one-off questions for the endpoints of services: for gateways, and whoever else needs a
/// list now and then and no channel.
///
/// A service that was asked for is watched as long as it is in use, so a list is as fresh as its source,
/// and a hit costs a lock and a clone. Many who ask for a new service at the same time
/// wait for one answer. While the source cannot be asked, the last list is given.
///
/// ```
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{CacheConfig, DiscoverCache, MemoryRegistry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = MemoryRegistry::new();
/// let server = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// let _registration = registry.register("user-service", server)?;
///
/// let cache = DiscoverCache::new(CacheConfig::default(), move |service| registry.watch(service));
/// assert_eq!(cache.discover("user-service").await?.len(), 1);
/// assert!(cache.discover("order-service").await.is_err(), "nobody is there");
/// assert_eq!(cache.discover("user-service").await?.len(), 1);
/// assert_eq!((cache.stats().hits(), cache.stats().misses()), (1, 2));
/// # Ok(())
/// # }
/// ```
///
/// # Clone
///
/// Clones are handles on the same cache. The last one dropped ends all its tasks.
#[derive(Clone)]
pub struct DiscoverCache {
    shared: Arc<Shared>,
}

/// Makes the source of a service.
type Open = dyn Fn(&str) -> Source<Boxed> + Send + Sync;
type Boxed = Pin<Box<dyn Stream<Item = Result<Change, BoxError>> + Send>>;

struct Shared {
    config: CacheConfig,
    open: Arc<Open>,
    entries: Mutex<Entries>,
    stats: Arc<CacheStats>,
}

impl DiscoverCache {
    /// Asks the sources that `open` makes, one for each service; for etcd,
    /// `move |service| EtcdDiscover::watch(etcd.clone(), service)`.
    pub fn new<D>(config: CacheConfig, open: impl Fn(&str) -> D + Send + Sync + 'static) -> Self
    where
        D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin + Send + 'static,
        D::Error: Into<BoxError>,
    {
        let open = move |service: &str| Source::new(Box::pin(Erased(open(service))) as Boxed);
        let shared = Shared {
            config,
            open: Arc::new(open),
            entries: Mutex::default(),
            stats: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The endpoints of `service`, never an empty list. Waits only for the first answer of a service.
    ///
    /// Cancel safe: the service goes on being watched.
    ///
    /// # Errors
    ///
    /// What the source reports when it has nobody, or cannot be asked for longer than
    /// [`CacheConfig::max_stale`]; [`DiscoverError::Unavailable`] when it does not answer within
    /// [`CacheConfig::timeout`].
    pub async fn discover(&self, service: &str) -> Result<Arc<[Endpoint]>, DiscoverError> {
        let asked_at = now();
        let known = self.look(service, asked_at)?;
        let answered = self.answered(service, known, asked_at).await?;
        answered
            .list(service, now(), self.shared.config.max_stale)
            .inspect(|_| self.shared.stats.gave(&answered))
    }

    /// Watches these services before somebody asks for them, and waits until each has answered,
    /// [`CacheConfig::timeout`] at most; gives those that have no endpoints, and why.
    pub async fn warm_up(
        &self,
        services: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Vec<(String, DiscoverError)> {
        let asked_at = now();
        let services = services.into_iter();
        let services = services.map(|service| service.as_ref().to_owned());
        // All are opened before the first is waited for.
        let opened: Vec<_> = services
            .map(|service| (self.look(&service, asked_at), service))
            .collect();
        let mut missing = Vec::new();
        for (known, service) in opened {
            let known = match known {
                Ok(known) => self.answered(&service, known, asked_at).await,
                Err(error) => Err(error),
            };
            let max_stale = self.shared.config.max_stale;
            let list = known.and_then(|known| known.list(&service, now(), max_stale));
            if let Err(error) = list {
                missing.push((service, error));
            }
        }
        missing
    }

    /// How well it does.
    #[must_use]
    pub fn stats(&self) -> Arc<CacheStats> {
        Arc::clone(&self.shared.stats)
    }

    /// How many services are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.entries.lock().services.len()
    }

    /// Whether no service is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of `service`, which is watched from now on.
    fn look(&self, service: &str, now: Instant) -> Result<Looked, DiscoverError> {
        let shared = &self.shared;
        let mut entries = shared.entries.lock();
        if let Some(entry) = entries.services.get_mut(service)
            // Its task may have gone with the runtime it was started in.
            && entry.known.has_changed().is_ok()
        {
            entry.used = now;
            shared.stats.asked(entry.known.borrow().has_answered());
            return Ok(entry.looked());
        }
        if tokio::runtime::Handle::try_current().is_err() {
            let reason = "the cache needs a tokio runtime";
            return Err(DiscoverError::unavailable("the cache", now, now, reason));
        }
        shared.stats.asked(false);
        let mut evicted = None;
        if entries.services.len() >= shared.config.capacity.max(1)
            && !entries.services.contains_key(service)
        {
            let oldest = entries.services.iter().min_by_key(|(_, entry)| entry.used);
            let oldest = oldest.map(|(service, _)| Arc::clone(service));
            evicted = oldest.and_then(|oldest| entries.services.remove(&oldest));
            shared.stats.evicted();
        }
        entries.next_id += 1;
        let (id, service) = (entries.next_id, Arc::<str>::from(service));
        let (tell, known) = watch::channel(Known::default());
        let follow = Follow::new(Arc::downgrade(shared), Arc::clone(&service), id, tell);
        let mut task = JoinSet::new();
        task.spawn(follow.run(Arc::clone(&shared.open)));
        let entry = Entry {
            id,
            known,
            used: now,
            task: Arc::new(task),
        };
        let looked = entry.looked();
        let replaced = entries.services.insert(service, entry);
        // What their sources do when they are dropped is not done under the lock.
        drop(entries);
        drop((evicted, replaced));
        Ok(looked)
    }

    async fn answered(
        &self,
        service: &str,
        mut looked: Looked,
        asked_at: Instant,
    ) -> Result<Known, DiscoverError> {
        let known = &mut looked.known;
        {
            // Not even a runtime is needed for that.
            let known = known.borrow();
            if known.has_answered() {
                return Ok(known.clone());
            }
        }
        let within = self.shared.config.timeout;
        let until = tokio::time::Instant::from_std(asked_at).checked_add(within);
        let answer = known.wait_for(Known::has_answered);
        let answer = match until {
            None => Ok(answer.await),
            Some(until) => tokio::time::timeout_at(until, answer).await,
        };
        let reason = match answer {
            Ok(Ok(known)) => return Ok(known.clone()),
            // With its runtime, or because it has panicked.
            Ok(Err(_)) => "its task has ended".to_owned(),
            Err(_) => format!("no answer within {within:?}"),
        };
        let name = format!("discovery of {service:?}");
        Err(DiscoverError::unavailable(name, asked_at, now(), reason))
    }
}

/// Any discover stream as a plain one.
struct Erased<D>(D);

impl<D> Stream for Erased<D>
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
    type Item = Result<Change, BoxError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let item = Pin::new(&mut self.0).poll_discover(cx);
        item.map(|item| item.map(|item| item.map_err(Into::into)))
    }
}

impl fmt::Debug for DiscoverCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoverCache")
            .field("config", &self.shared.config)
            .field("services", &self.len())
            .field("stats", &self.shared.stats)
            .finish()
    }
}

#[cfg(test)]
mod tests;
