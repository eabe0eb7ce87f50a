use std::collections::HashMap;
use std::time::Instant;

use evenkeel_core::{Address, Endpoint};
use evenkeel_discover::EndpointKey;

use super::{KeepLast, OnLoss};

/// Endpoints that etcd has stopped giving: tells a loss of its list from servers that leave, and
/// keeps the former. Pure.
#[derive(Debug)]
pub(super) struct Loss {
    keep: Option<KeepLast>,
    lost: HashMap<Server, Lost>,
    /// Where in `lost` each key is.
    servers: HashMap<EndpointKey, Server>,
    kept: usize,
    /// Not later than the first of the kept ones expires.
    expire_at: Option<Instant>,
}

/// Who is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server(Vec<Address>, Option<Box<str>>);

#[derive(Debug)]
struct Lost {
    key: EndpointKey,
    endpoint: Endpoint,
    at: Instant,
    /// Until when; not at all for one whose loss is believed and may have to be taken back.
    keep_until: Option<Instant>,
}

type Entry = (EndpointKey, Endpoint);

impl Loss {
    pub(super) fn new(on_loss: &OnLoss) -> Self {
        let keep = match on_loss {
            OnLoss::KeepLast(keep) => Some(keep.clone()).filter(|keep| !keep.limit.is_zero()),
            OnLoss::AcceptEmpty => None,
        };
        Self {
            keep,
            lost: HashMap::new(),
            servers: HashMap::new(),
            kept: 0,
            expire_at: None,
        }
    }

    /// etcd gives `gone` no longer, at once, and has `left` others. Gives those to keep: all, some
    /// that went earlier, or none.
    pub(super) fn lose(&mut self, gone: Vec<Entry>, left: usize, now: Instant) -> Vec<Entry> {
        let Some(keep) = self.keep.clone() else {
            return Vec::new();
        };
        let lost = self.add(gone, &keep, now);
        if lost * 2 > left + lost && (lost >= 2 || left == 0) {
            self.keep_all(&keep, now)
        } else {
            Vec::new()
        }
    }

    /// etcd has less history than it had and misses `gone`: gives those to keep, which are all.
    pub(super) fn forgotten(&mut self, gone: Vec<Entry>, now: Instant) -> Vec<Entry> {
        let Some(keep) = self.keep.clone() else {
            return Vec::new();
        };
        self.add(gone, &keep, now);
        self.keep_all(&keep, now)
    }

    /// Something else was written under `key`; gives whether it was kept.
    pub(super) fn forget(&mut self, key: &EndpointKey) -> bool {
        let server = self.servers.remove(key);
        let lost = server.and_then(|server| self.lost.remove(&server));
        let kept = lost.is_some_and(|lost| lost.keep_until.is_some());
        self.kept -= usize::from(kept);
        kept
    }

    /// The server of `endpoint` is in etcd: gives the key it was kept under.
    pub(super) fn found(&mut self, endpoint: &Endpoint) -> Option<EndpointKey> {
        if self.lost.is_empty() {
            return None;
        }
        let key = self.lost.get(&Server::of(endpoint))?.key.clone();
        self.forget(&key).then_some(key)
    }

    /// Gives up those that were kept for long enough.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Entry> {
        let until = self.lost.values().filter_map(|lost| lost.keep_until);
        self.expire_at = until.filter(|until| *until > now).min();
        let over = self.lost.values();
        let over = over.filter(|lost| lost.keep_until.is_some_and(|until| until <= now));
        let over: Vec<_> = over.map(Lost::entry).collect();
        for (key, _) in &over {
            self.forget(key);
        }
        over
    }

    /// When to ask for the expired ones next.
    pub(super) fn expire_at(&self) -> Option<Instant> {
        self.expire_at.filter(|_| self.kept > 0)
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = (&EndpointKey, &Endpoint)> {
        let kept = self.lost.values().filter(|lost| lost.keep_until.is_some());
        kept.map(|lost| (&lost.key, &lost.endpoint))
    }

    pub(super) fn is_kept(&self, key: &EndpointKey) -> bool {
        let lost = self.servers.get(key).and_then(|at| self.lost.get(at));
        lost.is_some_and(|lost| lost.keep_until.is_some())
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept
    }

    /// Gives how many were lost within the window. One that was lost before gets no more time.
    fn add(&mut self, gone: Vec<Entry>, keep: &KeepLast, now: Instant) -> usize {
        let recent = |lost: &Lost| now.saturating_duration_since(lost.at) <= keep.window;
        let believed = |lost: &&Lost| lost.keep_until.is_none() && !recent(lost);
        let believed = self.lost.values().filter(believed);
        let believed: Vec<_> = believed.map(|lost| lost.key.clone()).collect();
        for key in &believed {
            self.forget(key);
        }
        for (key, endpoint) in gone {
            let server = Server::of(&endpoint);
            if self.lost.contains_key(&server) {
                continue;
            }
            self.forget(&key);
            self.servers.insert(key.clone(), server.clone());
            let lost = Lost {
                key,
                endpoint,
                at: now,
                keep_until: None,
            };
            self.lost.insert(server, lost);
        }
        self.lost.values().filter(|lost| recent(lost)).count()
    }

    fn keep_all(&mut self, keep: &KeepLast, now: Instant) -> Vec<Entry> {
        let mut kept = Vec::new();
        for lost in self.lost.values_mut() {
            let until = lost.at.checked_add(keep.limit);
            let Some(until) = until.filter(|until| *until > now) else {
                continue;
            };
            if lost.keep_until.is_none() {
                lost.keep_until = Some(until);
                kept.push(lost.entry());
                self.expire_at = Some(self.expire_at.map_or(until, |at| at.min(until)));
            }
        }
        self.kept += kept.len();
        kept
    }
}

impl Lost {
    fn entry(&self) -> Entry {
        (self.key.clone(), self.endpoint.clone())
    }
}

impl Server {
    fn of(endpoint: &Endpoint) -> Self {
        let mut addresses = endpoint.addresses().to_vec();
        addresses.sort_unstable();
        Self(addresses, endpoint.authority().map(Into::into))
    }
}

#[cfg(test)]
mod tests;
