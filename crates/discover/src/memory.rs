mod discover;

pub use discover::MemoryDiscover;

use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt;
use std::sync::Arc;

use evenkeel_core::{Availability, Endpoint, Metadata};
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    Control, EndpointKey, Presence, RegisterError, Registrar, Registration, RegistrationState,
};

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
            wish: Mutex::new(Wish::new(endpoint)),
            state,
        };
        owned.write();
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
    /// Locked before the registry, never after it.
    wish: Mutex<Wish>,
    state: watch::Sender<RegistrationState>,
}

/// What was asked for last.
struct Wish {
    endpoint: Endpoint,
    presence: Presence,
}

impl Wish {
    const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            presence: Presence::Listed,
        }
    }

    /// The endpoint as clients are to see it, if they are.
    fn shown(&self) -> Option<Endpoint> {
        let endpoint = self.endpoint.clone();
        match self.presence {
            Presence::Listed => Some(endpoint),
            Presence::Draining => {
                let metadata = endpoint.metadata().clone();
                let draining = metadata.with_availability(Availability::Draining);
                Some(endpoint.with_metadata(draining))
            }
            Presence::Paused => None,
        }
    }
}

impl Owned {
    /// Writes the first entry; an older registration under the same key ends.
    fn write(&self) {
        let wish = self.wish.lock();
        let mut state = self.shared.state.lock();
        if let Some(old) = state.paused.remove(&self.key) {
            old.send_replace(RegistrationState::Deregistered);
        }
        self.show(&mut state, wish.shown());
    }

    /// Changes the wish and does it, unless the key is not this registration's any more; `change`
    /// says whether there is anything to do.
    fn change(&self, change: impl FnOnce(&mut Wish) -> bool) -> Result<(), RegisterError> {
        let mut wish = self.wish.lock();
        let mut state = self.shared.state.lock();
        if !self.is_owner(&state) {
            return Err(RegisterError::Ended);
        }
        if change(&mut wish) {
            self.show(&mut state, wish.shown());
        }
        Ok(())
    }

    /// Whether no newer registration has the key, and it was not taken out.
    fn is_owner(&self, state: &State) -> bool {
        let own = |other: &watch::Sender<_>| other.same_channel(&self.state);
        let list = state.services.get(&self.service);
        list.is_some_and(|list| {
            let list = list.borrow();
            list.get(&self.key).is_some_and(|entry| own(&entry.state))
        }) || state.paused.get(&self.key).is_some_and(own)
    }

    /// Has clients see this and nothing else under the key.
    fn show(&self, state: &mut State, endpoint: Option<Endpoint>) {
        state.revision += 1;
        let entry = endpoint.map(|endpoint| Entry {
            endpoint,
            revision: state.revision,
            state: self.state.clone(),
        });
        let shown = match entry {
            Some(_) => {
                state.paused.remove(&self.key);
                RegistrationState::Registered
            }
            None => {
                state.paused.insert(self.key.clone(), self.state.clone());
                RegistrationState::Paused
            }
        };
        state.service(&self.service).send_modify(|list| {
            let list = Arc::make_mut(list);
            let old = match entry {
                Some(entry) => list.insert(self.key.clone(), entry),
                None => list.shift_remove(&self.key),
            };
            if let Some(old) = old.filter(|old| !old.state.same_channel(&self.state)) {
                old.state.send_replace(RegistrationState::Deregistered);
            }
        });
        self.state.send_replace(shown);
    }
}

impl Control for Owned {
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        self.change(|wish| {
            wish.endpoint = wish.endpoint.clone().with_metadata(metadata);
            true
        })
    }

    fn present(&self, presence: Presence) -> Result<(), RegisterError> {
        self.change(|wish| std::mem::replace(&mut wish.presence, presence) != presence)
    }

    fn deregister(&self) {
        {
            let mut state = self.shared.state.lock();
            if self.is_owner(&state) {
                self.show(&mut state, None);
                state.paused.remove(&self.key);
            }
        }
        self.shared.forget(&self.service);
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
