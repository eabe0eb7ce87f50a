mod discover;

pub use discover::MemoryDiscover;

use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt;
use std::sync::Arc;

use evenkeel_core::{Endpoint, Metadata};
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Control, EndpointKey, RegisterError, Registrar, Registration, RegistrationState};

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
        RegisterError::check(&endpoint, true)?;
        let service: Arc<str> = service.into();
        let key = EndpointKey::from(format!("{service}/{endpoint}"));
        let (state, watch) = watch::channel(RegistrationState::Registered);
        let owned = Owned {
            shared: Arc::clone(&self.shared),
            service,
            key,
            state,
        };
        owned.write(endpoint);
        Ok(Registration::new(owned, watch))
    }

    /// The endpoints of `service`, as changes from nothing; a service that nobody has registered
    /// yet is reported as empty and may come.
    pub fn watch(&self, service: impl Into<Arc<str>>) -> MemoryDiscover {
        let service = service.into();
        let list = self.shared.state.lock().service(&service).subscribe();
        MemoryDiscover::new(Arc::clone(&self.shared), service, list)
    }

    /// The endpoints of `service` now.
    #[must_use]
    pub fn endpoints(&self, service: &str) -> Vec<Endpoint> {
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
}

impl State {
    fn service(&mut self, name: &Arc<str>) -> &watch::Sender<Arc<List>> {
        self.services.entry(Arc::clone(name)).or_default()
    }
}

impl Shared {
    /// Forgets a service that has no entries and that nobody watches.
    fn forget(&self, service: &Arc<str>) {
        if let hash_map::Entry::Occupied(entry) =
            self.state.lock().services.entry(Arc::clone(service))
        {
            let list = entry.get();
            if list.receiver_count() == 0 && list.borrow().is_empty() {
                entry.remove();
            }
        }
    }
}

/// One registration's hold on its entry.
struct Owned {
    shared: Arc<Shared>,
    service: Arc<str>,
    key: EndpointKey,
    state: watch::Sender<RegistrationState>,
}

impl Owned {
    /// Writes the new entry; an older registration under the same key ends.
    fn write(&self, endpoint: Endpoint) {
        let mut state = self.shared.state.lock();
        state.revision += 1;
        let entry = Entry {
            endpoint,
            revision: state.revision,
            state: self.state.clone(),
        };
        state.service(&self.service).send_modify(|list| {
            if let Some(old) = Arc::make_mut(list).insert(self.key.clone(), entry) {
                old.state.send_replace(RegistrationState::Deregistered);
            }
        });
    }

    /// Changes the list, unless the entry is not this registration's any more.
    fn change(&self, change: impl FnOnce(&mut List, u64)) -> Result<(), RegisterError> {
        let mut state = self.shared.state.lock();
        state.revision += 1;
        let revision = state.revision;
        let changed = state.services.get(&self.service).is_some_and(|list| {
            list.send_if_modified(|list| {
                let entry = list.get(&self.key);
                let own = entry.is_some_and(|entry| entry.state.same_channel(&self.state));
                if own {
                    change(Arc::make_mut(list), revision);
                }
                own
            })
        });
        changed.then_some(()).ok_or(RegisterError::Ended)
    }
}

impl Control for Owned {
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        self.change(|list, revision| {
            if let Some(entry) = list.get_mut(&self.key) {
                entry.endpoint = entry.endpoint.clone().with_metadata(metadata);
                entry.revision = revision;
            }
        })
    }

    fn deregister(&self) {
        let gone = self.change(|list, _| {
            list.shift_remove(&self.key);
        });
        if gone.is_ok() {
            self.shared.forget(&self.service);
        }
        self.state.send_replace(RegistrationState::Deregistered);
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
