use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{Availability, Endpoint, Metadata};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Entry, Shared, State};
use crate::{Control, EndpointKey, Presence, RegisterError, RegistrationState};

/// One registration's hold on its entry.
pub(super) struct Owned {
    shared: Arc<Shared>,
    service: Arc<str>,
    key: EndpointKey,
    /// Locked before the registry, never after it.
    wish: Mutex<Wish>,
    state: watch::Sender<RegistrationState>,
    expires: Option<Arc<Mutex<Instant>>>,
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
    pub(super) fn new(
        shared: Arc<Shared>,
        service: Arc<str>,
        key: EndpointKey,
        endpoint: Endpoint,
        state: watch::Sender<RegistrationState>,
        expires: Option<Instant>,
    ) -> Self {
        Self {
            shared,
            service,
            key,
            wish: Mutex::new(Wish::new(endpoint)),
            state,
            expires: expires.map(|expires| Arc::new(Mutex::new(expires))),
        }
    }

    /// Writes the first entry; an older registration under the same key ends.
    pub(super) fn write(&self) {
        let wish = self.wish.lock();
        let mut state = self.shared.state.lock();
        if let Some(old) = state.paused.remove(&self.key) {
            old.send_replace(RegistrationState::Deregistered);
        }
        self.show(&mut state, wish.shown());
    }

    /// Gives the entry another `ttl`, unless it has expired or is not this registration's any more.
    pub(super) fn renew(&self, ttl: Duration, now: Instant) -> Result<(), RegisterError> {
        let expires = self.expires.as_ref();
        if expires.is_some_and(|expires| *expires.lock() <= now) {
            self.take_out();
            return Err(RegisterError::Ended);
        }
        if !self.is_owner(&self.shared.state.lock()) {
            return Err(RegisterError::Ended);
        }
        if let Some((expires, later)) = expires.zip(now.checked_add(ttl)) {
            *expires.lock() = later;
        }
        Ok(())
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
            expires: self.expires.clone(),
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

    fn take_out(&self) {
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

impl Control for Arc<Owned> {
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
        self.take_out();
    }
}
