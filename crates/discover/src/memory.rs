mod discover;
mod lease;
mod owned;

pub use discover::MemoryDiscover;
pub use lease::MemoryLease;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::Endpoint;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::source::now;
use crate::{EndpointKey, RegisterError, Registrar, Registration, RegistrationState};
use owned::Owned;

/// A registry in this process: for tests, demos, and services that find each other within one
/// process.
///
/// Everything is seen at once. Registering never waits for watchers, and watchers never miss the
/// present list: each has its own place and is given the difference.
///
/// # Clone
///
/// Clones are handles on the same registry.
#[derive(Clone, Default)]
pub struct MemoryRegistry {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    services: HashMap<Arc<str>, watch::Sender<Arc<List>>>,
    /// Whose keys are kept for them while they are paused.
    paused: HashMap<EndpointKey, watch::Sender<RegistrationState>>,
    /// Numbers every write, so that the newest of two entries for one server is known.
    revision: u64,
}

/// The entries of one service, in the order in which they came.
type List = IndexMap<EndpointKey, Entry>;

#[derive(Clone)]
struct Entry {
    endpoint: Endpoint,
    revision: u64,
    state: watch::Sender<RegistrationState>,
    /// When it goes unless it is renewed, which is no change of the list.
    expires: Option<Arc<Mutex<Instant>>>,
}

impl Entry {
    fn expires(&self) -> Option<Instant> {
        self.expires.as_ref().map(|expires| *expires.lock())
    }
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `endpoint` as a server of `service`; as [`Registrar::register`], and at once.
    ///
    /// The key is `service/address`. Loopback addresses are welcome.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Unspecified`] for an address that cannot be dialled.
    pub fn register(
        &self,
        service: &str,
        endpoint: Endpoint,
    ) -> Result<Registration, RegisterError> {
        let (_, registration) = self.enter(service, endpoint, None)?;
        Ok(registration)
    }

    /// The same for a server that is known by its heartbeats: unless
    /// [`renewed`](MemoryLease::renew) within `ttl`, the entry goes, as that of a server that was
    /// killed. No task sees to that: watchers and readers do.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use evenkeel_core::{Address, Endpoint};
    /// use evenkeel_discover::MemoryRegistry;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = MemoryRegistry::new();
    /// let server = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
    /// let lease = registry.register_for("user-service", server, Duration::from_secs(15))?;
    /// lease.renew()?; // at each heartbeat
    /// assert_eq!(registry.endpoints("user-service").len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::register`].
    pub fn register_for(
        &self,
        service: &str,
        endpoint: Endpoint,
        ttl: Duration,
    ) -> Result<MemoryLease, RegisterError> {
        // What is too far to be a time is for ever.
        let expires = now().checked_add(ttl);
        let (entry, registration) = self.enter(service, endpoint, expires)?;
        Ok(MemoryLease::new(entry, ttl, registration))
    }

    fn enter(
        &self,
        service: &str,
        endpoint: Endpoint,
        expires: Option<Instant>,
    ) -> Result<(Arc<Owned>, Registration), RegisterError> {
        RegisterError::check(&endpoint, true)?;
        let service: Arc<str> = service.into();
        let key = EndpointKey::from(format!("{service}/{endpoint}"));
        let (state, watch) = watch::channel(RegistrationState::Registered);
        let shared = Arc::clone(&self.shared);
        let owned = Arc::new(Owned::new(shared, service, key, endpoint, state, expires));
        owned.write();
        Ok((Arc::clone(&owned), Registration::new(owned, watch)))
    }

    /// The endpoints of `service`, as changes from nothing; a service that nobody has registered
    /// yet is reported as empty and may come.
    pub fn watch(&self, service: impl Into<Arc<str>>) -> MemoryDiscover {
        let service = service.into();
        self.shared.expire(&service, now());
        let list = self.shared.state.lock().service(&service).subscribe();
        MemoryDiscover::new(Arc::clone(&self.shared), service, list)
    }

    /// The endpoints of `service` now.
    #[must_use]
    pub fn endpoints(&self, service: &str) -> Vec<Endpoint> {
        self.shared.expire(service, now());
        let state = self.shared.state.lock();
        let list = state
            .services
            .get(service)
            .map(|list| list.borrow().clone());
        let entries = list.iter().flat_map(|list| list.values());
        entries.map(|entry| entry.endpoint.clone()).collect()
    }
}

impl Registrar for MemoryRegistry {
    fn register(&self, service: &str, endpoint: Endpoint) -> Result<Registration, RegisterError> {
        self.register(service, endpoint)
    }

    /// This machine: nobody else reads it.
    fn reached_at(&self) -> Vec<String> {
        vec!["127.0.0.1:9".to_owned(), "[::1]:9".to_owned()]
    }
}

impl State {
    fn service(&mut self, name: &Arc<str>) -> &watch::Sender<Arc<List>> {
        self.services.entry(Arc::clone(name)).or_default()
    }
}

impl Shared {
    /// Forgets a service that has no entries and that nobody watches.
    fn forget(&self, service: &str) {
        let services = &mut self.state.lock().services;
        let is_idle = |list: &watch::Sender<Arc<List>>| {
            list.receiver_count() == 0 && list.borrow().is_empty()
        };
        if services.get(service).is_some_and(is_idle) {
            services.remove(service);
        }
    }

    /// Takes out the entries of `service` whose time is up; gives when the next one's is.
    fn expire(&self, service: &str, now: Instant) -> Option<Instant> {
        let is_due = |entry: &Entry| entry.expires().is_some_and(|expires| expires <= now);
        let state = self.state.lock();
        let list = state.services.get(service)?;
        let expired = list.send_if_modified(|list| {
            let any = list.values().any(is_due);
            if any {
                Arc::make_mut(list).retain(|_, entry| {
                    let stays = !is_due(entry);
                    if !stays {
                        entry.state.send_replace(RegistrationState::Deregistered);
                    }
                    stays
                });
            }
            any
        });
        let next = list.borrow().values().filter_map(Entry::expires).min();
        drop(state);
        if expired {
            self.forget(service);
        }
        next
    }
}

impl fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        let services = state.services.iter();
        f.debug_map()
            .entries(services.map(|(name, list)| (name, list.borrow().len())))
            .finish()
    }
}

#[cfg(test)]
mod tests;
