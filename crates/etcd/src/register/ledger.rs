//! What is to be in etcd, and what is there as far as we know. Pure: no clock, no connection.

mod refused;

use std::collections::HashMap;
use std::time::Instant;

use evenkeel_discover::RegistrationState;
use tokio::sync::watch;

use crate::backoff::Backoff;
use refused::Refused;

/// All keys of one registrar.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lease: Option<i64>,
    entries: HashMap<String, Entry>,
    /// Numbers entries and their writes; never used twice.
    last: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    /// Which registration it belongs to.
    id: u64,
    value: Vec<u8>,
    /// The number of the write that is wanted: a new one for each value.
    wanted: u64,
    /// The last write that etcd has confirmed under the present lease.
    written: Option<Written>,
    /// Whether etcd may have the key under the present lease, confirmed or not.
    sent: bool,
    /// To be deleted.
    leaving: bool,
    /// etcd does not want it as it is.
    refused: Option<Refused>,
    state: watch::Sender<RegistrationState>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    number: u64,
    revision: i64,
}

impl Entry {
    fn has_work(&self) -> bool {
        let written = self.written.map(|written| written.number);
        self.leaving || written != Some(self.wanted)
    }
}

/// The next thing to do in etcd.
#[derive(Debug, PartialEq)]
pub(super) enum Work {
    Put {
        key: String,
        value: Vec<u8>,
        number: u64,
    },
    Delete {
        key: String,
        id: u64,
    },
}

impl Ledger {
    /// A new entry; one that is there under the same key ends. `None` when closed.
    pub(super) fn enter(
        &mut self,
        key: &str,
        value: Vec<u8>,
    ) -> Option<(u64, watch::Receiver<RegistrationState>)> {
        if self.closed {
            return None;
        }
        let number = self.number();
        let (state, watch) = watch::channel(RegistrationState::Registering);
        let entry = Entry {
            id: number,
            value,
            wanted: number,
            written: None,
            sent: false,
            leaving: false,
            refused: None,
            state,
        };
        if let Some(old) = self.entries.insert(key.to_owned(), entry) {
            old.state.send_replace(RegistrationState::Deregistered);
            if let Some(entry) = self.entries.get_mut(key) {
                entry.sent = old.sent;
            }
        }
        Some((number, watch))
    }

    /// Another value for an entry; false when it is not there any more.
    pub(super) fn update(&mut self, key: &str, id: u64, value: Vec<u8>) -> bool {
        let number = self.number();
        match self.entries.get_mut(key) {
            Some(entry) if entry.id == id && !entry.leaving => {
                entry.value = value;
                entry.wanted = number;
                entry.refused = None;
                entry.state.send_replace(RegistrationState::Registering);
                true
            }
            _ => false,
        }
    }

    /// An entry is to go; false when there is nothing to do for that.
    pub(super) fn leave(&mut self, key: &str, id: u64) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.id == id && !entry.leaving => {
                entry.leaving = true;
                entry.refused = None;
                let sent = entry.sent;
                if !sent {
                    self.left(key, id);
                }
                sent
            }
            _ => false,
        }
    }

    /// What etcd does not have yet, or still has; not what it has refused until it is time.
    pub(super) fn next_work(&mut self, now: Instant) -> Option<Work> {
        let (key, entry) = self.entries.iter_mut().find(|(_, entry)| {
            let refused = entry.refused.as_ref();
            entry.has_work() && refused.is_none_or(|refused| refused.until <= now)
        })?;
        let key = key.clone();
        if entry.leaving {
            let id = entry.id;
            return Some(Work::Delete { key, id });
        }
        entry.sent = true;
        Some(Work::Put {
            key,
            value: entry.value.clone(),
            number: entry.wanted,
        })
    }

    /// When it is time to try again what etcd has refused, if there is such a thing.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| entry.has_work());
        waiting
            .filter_map(|entry| Some(entry.refused.as_ref()?.until))
            .min()
    }

    /// etcd has refused this work and no other; true the first time. `backoff` is for a first time
    /// and `random` as in [`Backoff::next`].
    pub(super) fn refused(
        &mut self,
        work: &Work,
        now: Instant,
        backoff: &Backoff,
        random: f64,
        why: &str,
    ) -> bool {
        let (Work::Put { key, .. } | Work::Delete { key, .. }) = work;
        let present = |entry: &&mut Entry| match work {
            Work::Put { number, .. } => entry.wanted == *number && !entry.leaving,
            Work::Delete { id, .. } => entry.id == *id,
        };
        // Otherwise replaced or updated meanwhile: that is another story.
        let Some(entry) = self.entries.get_mut(key).filter(present) else {
            return false;
        };
        let first = entry.refused.is_none();
        let refused = entry
            .refused
            .get_or_insert_with(|| Refused::new(now, backoff));
        refused.again(now, random);
        let state = RegistrationState::retrying(refused.since, why);
        entry.state.send_replace(state);
        first
    }

    /// etcd has confirmed a write; true when the entry now is as it is wanted.
    pub(super) fn put(&mut self, key: &str, number: u64, revision: i64) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.wanted == number => {
                entry.written = Some(Written { number, revision });
                entry.refused = None;
                if !entry.leaving {
                    entry.state.send_replace(RegistrationState::Registered);
                }
                true
            }
            // Replaced or updated meanwhile: there is another write to come.
            _ => false,
        }
    }

    /// etcd has confirmed that the key is gone, or somebody else's.
    pub(super) fn left(&mut self, key: &str, id: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.id == id)
            && let Some(entry) = self.entries.remove(key)
        {
            entry.state.send_replace(RegistrationState::Deregistered);
        }
    }

    /// What etcd should have, with the revisions of the last writes.
    pub(super) fn written(&self) -> Vec<(String, i64)> {
        let written = |(key, entry): (&String, &Entry)| {
            let written = entry.written?;
            (!entry.leaving).then(|| (key.clone(), written.revision))
        };
        self.entries.iter().filter_map(written).collect()
    }

    /// The key is not as we wrote it at `revision`; false when we have written it again since.
    pub(super) fn key_lost(&mut self, key: &str, revision: i64, now: Instant, why: &str) -> bool {
        match self.entries.get_mut(key) {
            Some(entry)
                if entry.written.is_some_and(|at| at.revision == revision) && !entry.leaving =>
            {
                entry.written = None;
                entry
                    .state
                    .send_replace(RegistrationState::retrying(now, why));
                true
            }
            _ => false,
        }
    }

    pub(super) const fn lease(&self) -> Option<i64> {
        self.lease
    }

    pub(super) fn granted(&mut self, lease: i64) {
        self.lease = Some(lease);
    }

    /// The lease is gone, and with it all keys.
    pub(super) fn lease_lost(&mut self) {
        self.lease = None;
        self.entries.retain(|_, entry| {
            entry.written = None;
            entry.sent = false;
            if entry.leaving {
                entry.state.send_replace(RegistrationState::Deregistered);
            }
            !entry.leaving
        });
    }

    /// etcd cannot be reached since `since`: nobody knows how long it will keep the keys.
    pub(super) fn failing(&mut self, since: Instant, why: &str) {
        for entry in self.entries.values() {
            entry
                .state
                .send_replace(RegistrationState::retrying(since, why));
        }
    }

    /// etcd answers again, and the keys were found as they had been written.
    pub(super) fn well(&mut self) {
        for entry in self.entries.values() {
            let written = entry.written.map(|written| written.number);
            if written == Some(entry.wanted) && !entry.leaving {
                entry.state.send_replace(RegistrationState::Registered);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes no more entries.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Gives the lease away, to be revoked.
    pub(super) fn take_lease(&mut self) -> Option<i64> {
        self.lease.take()
    }

    /// Ends all entries.
    pub(super) fn end(&mut self) {
        for (_, entry) in self.entries.drain() {
            entry.state.send_replace(RegistrationState::Deregistered);
        }
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests;
