//! What is to be in etcd, and what is there as far as we know. Pure: no clock, no connection.

mod entry;
mod refused;
mod work;

pub(super) use entry::Values;
pub(super) use work::{Delete, Put, Work};

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use evenkeel_discover::{Presence, RegistrationState};
use tokio::sync::watch;

use crate::backoff::Backoff;
use entry::{Entry, Written};
use refused::Refused;

/// All keys of one registrar.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lease: Option<i64>,
    /// The last few leases we had, the present one among them.
    leases: Vec<i64>,
    entries: HashMap<String, Entry>,
    /// Keys of entries that are gone, which a late write of ours may bring back as long as the
    /// lease lives.
    ghosts: HashSet<String>,
    /// Numbers entries and what is asked for them; never used twice.
    last: u64,
    closed: bool,
}

/// Why a registration cannot have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The entry is not its own any more.
    Ended,
    /// The format has no word for draining.
    NoWord,
}

/// What somebody else has done to a key, or etcd with a request of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) now: Instant,
    /// The delays of a first time.
    pub(super) backoff: &'a Backoff,
    /// As in [`Backoff::next`].
    pub(super) random: f64,
    /// Whether it is this key that etcd does not want; otherwise it would have refused any.
    pub(super) alone: bool,
    pub(super) why: &'a str,
}

impl Ledger {
    /// A new entry; one that is there under the same key ends. `None` when closed.
    pub(super) fn enter(
        &mut self,
        key: &str,
        values: Values,
    ) -> Option<(u64, watch::Receiver<RegistrationState>)> {
        if self.closed {
            return None;
        }
        let number = self.number();
        let (state, watch) = watch::channel(RegistrationState::Registering);
        let mut entry = Entry::new(number, values, state);
        entry.haunted = self.ghosts.remove(key);
        if let Some(old) = self.entries.insert(key.to_owned(), entry) {
            old.tell(RegistrationState::Deregistered);
            if let Some(entry) = self.entries.get_mut(key) {
                entry.sent = old.sent;
                entry.unanswered = old.unanswered;
                entry.haunted |= old.haunted;
            }
        }
        Some((number, watch))
    }

    /// Other values for an entry.
    pub(super) fn update(&mut self, key: &str, id: u64, values: Values) -> Result<(), Denied> {
        let number = self.number();
        let entry = self.own(key, id)?;
        if entry.presence == Presence::Draining && values.draining.is_none() {
            return Err(Denied::NoWord);
        }
        entry.values = values;
        if entry.presence != Presence::Paused {
            entry.want(number);
        }
        Ok(())
    }

    /// Another way to show an entry.
    pub(super) fn present(&mut self, key: &str, id: u64, presence: Presence) -> Result<(), Denied> {
        let number = self.number();
        let entry = self.own(key, id)?;
        if entry.presence == presence {
            return Ok(());
        }
        if presence == Presence::Draining && entry.values.draining.is_none() {
            return Err(Denied::NoWord);
        }
        // Who comes back from a pause is as new as who has just come.
        entry.claims |= entry.presence == Presence::Paused;
        entry.presence = presence;
        entry.want(number);
        if !entry.sent && presence == Presence::Paused {
            entry.tell(RegistrationState::Paused);
        }
        Ok(())
    }

    /// An entry is to go; false when there is nothing to do for that.
    pub(super) fn leave(&mut self, key: &str, id: u64) -> bool {
        let number = self.number();
        let Ok(entry) = self.own(key, id) else {
            return false;
        };
        entry.leaving = true;
        entry.wanted = number;
        entry.refused = None;
        let sent = entry.sent;
        if !sent {
            self.left(key);
        }
        sent
    }

    fn own(&mut self, key: &str, id: u64) -> Result<&mut Entry, Denied> {
        let entry = self.entries.get_mut(key);
        let own = entry.filter(|entry| entry.id == id && !entry.leaving);
        own.ok_or(Denied::Ended)
    }

    /// What etcd still has, and then what it does not have yet: up to `most` keys, each once.
    /// Not what it has refused until it is time, and that after everything else and alone.
    pub(super) fn next_work(&mut self, now: Instant, most: usize) -> Option<Work> {
        let deletes = self.due(now, most, false);
        if !deletes.is_empty() {
            let delete = |(key, entry): (&String, &mut Entry)| entry.delete(key);
            return Some(Work::Deletes(deletes.into_iter().map(delete).collect()));
        }
        let puts = self.due(now, most, true);
        let put = |(key, entry): (&String, &mut Entry)| entry.put(key);
        let puts: Vec<_> = puts.into_iter().map(put).collect();
        (!puts.is_empty()).then_some(Work::Puts(puts))
    }

    fn due(&mut self, now: Instant, most: usize, listed: bool) -> Vec<(&String, &mut Entry)> {
        let (mut fresh, mut again, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for (key, entry) in &mut self.entries {
            if entry.is_listed() != listed || !entry.has_work() {
                continue;
            }
            let (due, most) = match &entry.refused {
                None => (&mut fresh, most),
                Some(refused) if refused.until > now => continue,
                Some(refused) if refused.alone => (&mut alone, 1),
                Some(_) => (&mut again, most),
            };
            if due.len() < most {
                due.push((key, entry));
            }
        }
        let mut due = [fresh, again, alone].into_iter();
        due.find(|due| !due.is_empty()).unwrap_or_default()
    }

    /// When it is time to try again what etcd has refused, if there is such a thing.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| entry.has_work());
        waiting
            .filter_map(|entry| Some(entry.refused.as_ref()?.until))
            .min()
    }

    /// etcd has refused to do this for the key and may do it for others; true the first time.
    pub(super) fn refused(&mut self, key: &str, number: u64, refusal: &Refusal<'_>) -> bool {
        let mut entry = self.entries.get_mut(key);
        if let Some(entry) = &mut entry {
            entry.unanswered = false;
        }
        // Otherwise something else was asked for meanwhile: that is another story.
        entry
            .filter(|entry| entry.wanted == number)
            .is_some_and(|entry| entry.refuse(refusal))
    }

    /// The key is held by another lease than ours; true if that is news and means waiting.
    pub(super) fn held(&mut self, put: &Put, lease: i64, refusal: &Refusal<'_>) -> bool {
        if self.leases.contains(&lease) {
            // An etcd from a backup may still have what we wrote under a lease before this one.
            if let Some(entry) = self.entries.get_mut(&put.key) {
                entry.unanswered = false;
                entry.claims = true;
            }
            return false;
        }
        self.refused(&put.key, put.number, refusal)
    }

    /// etcd has confirmed a write; true when the entry now is as it is wanted.
    pub(super) fn put(&mut self, put: &Put, revision: i64) -> bool {
        let Some(entry) = self.entries.get_mut(&put.key) else {
            return false;
        };
        entry.unanswered = false;
        // Also when something else is wanted by now: then there is another write to come.
        entry.written = Some(Written {
            number: put.number,
            revision,
            draining: put.draining,
        });
        if entry.wanted != put.number {
            return false;
        }
        entry.refused = None;
        entry.claims = false;
        entry.tell(RegistrationState::Registered);
        true
    }

    /// etcd has confirmed that the key is gone, or somebody else's.
    pub(super) fn left(&mut self, key: &str) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.forgotten();
        if entry.leaving {
            entry.tell(RegistrationState::Deregistered);
            if entry.may_reappear() {
                self.ghosts.insert(key.to_owned());
            }
            self.entries.remove(key);
        }
    }

    /// What etcd should not have under the present lease, and may have after all: a write that a
    /// member was asked for in vain is done when that member goes on.
    pub(super) fn absent(&self) -> Vec<String> {
        let paused = self.entries.iter();
        let paused = paused.filter(|(_, entry)| entry.may_reappear());
        let paused = paused.map(|(key, _)| key);
        self.ghosts.iter().chain(paused).cloned().collect()
    }

    /// What etcd should have, with the revisions of the last writes.
    pub(super) fn written(&self) -> Vec<(String, i64)> {
        let written = |(key, entry): (&String, &Entry)| {
            let written = entry.written?;
            entry.is_listed().then(|| (key.clone(), written.revision))
        };
        self.entries.iter().filter_map(written).collect()
    }

    /// The key is not as we wrote it at `revision`; false when we have written it again since.
    pub(super) fn key_lost(&mut self, key: &str, revision: i64, now: Instant, why: &str) -> bool {
        let entry = self.entries.get_mut(key);
        let Some(entry) = entry.filter(|entry| entry.is_written_at(revision)) else {
            return false;
        };
        entry.written = None;
        entry.tell(RegistrationState::retrying(now, why));
        true
    }

    /// We may not look at the key: nobody knows whether it is still there. True the first time.
    pub(super) fn key_hidden(&mut self, key: &str, revision: i64, refusal: &Refusal<'_>) -> bool {
        let entry = self.entries.get_mut(key);
        let Some(entry) = entry.filter(|entry| entry.is_written_at(revision)) else {
            return false;
        };
        entry.written = None;
        entry.refuse(refusal)
    }

    pub(super) const fn lease(&self) -> Option<i64> {
        self.lease
    }

    pub(super) fn granted(&mut self, lease: i64) {
        /// How many leases of ours an etcd may still have.
        const KEPT: usize = 8;
        self.lease = Some(lease);
        if self.leases.len() == KEPT {
            self.leases.remove(0);
        }
        self.leases.push(lease);
    }

    /// The lease is gone, and with it all keys.
    pub(super) fn lease_lost(&mut self) {
        self.lease = None;
        self.ghosts.clear();
        self.entries.retain(|_, entry| {
            entry.lease_lost();
            if entry.leaving {
                entry.tell(RegistrationState::Deregistered);
            }
            !entry.leaving
        });
    }

    /// etcd cannot be reached since `since`: nobody knows how long it will keep the keys.
    pub(super) fn failing(&mut self, since: Instant, why: &str) {
        let at_stake = |entry: &&Entry| entry.is_listed() || entry.has_work();
        for entry in self.entries.values().filter(at_stake) {
            entry.tell(RegistrationState::retrying(since, why));
        }
    }

    /// etcd answers again, and the keys were found as they had been written.
    pub(super) fn well(&mut self) {
        for entry in self.entries.values() {
            if entry.is_listed() && !entry.has_work() {
                entry.tell(RegistrationState::Registered);
            }
        }
    }

    /// What clients are to read before everything goes: keys and values that say draining.
    pub(super) fn goodbyes(&self) -> Vec<(String, Vec<u8>)> {
        let goodbye = |(key, entry): (&String, &Entry)| Some((key.clone(), entry.goodbye()?));
        self.entries.iter().filter_map(goodbye).collect()
    }

    /// Whether clients may see any of it.
    pub(super) fn is_listed(&self) -> bool {
        self.entries.values().any(|entry| entry.sent)
    }

    /// Whether somebody waits for a key to go.
    pub(super) fn is_leaving(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| !entry.is_listed() && entry.has_work())
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

    /// Ends all entries.
    pub(super) fn end(&mut self) {
        for (_, entry) in self.entries.drain() {
            entry.tell(RegistrationState::Deregistered);
        }
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests;
