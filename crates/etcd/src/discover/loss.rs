mod burst;
mod watched;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use evenkeel_core::{Address, Endpoint};
use evenkeel_discover::EndpointKey;

use super::{KeepLast, OnLoss};
use burst::Burst;
use watched::Watched;

/// Endpoints that etcd has stopped giving: tells a loss of its list from servers that leave, and
/// keeps the former. Pure, and the cost of a deletion is that of one, however many there are.
#[derive(Debug)]
pub(super) struct Loss {
    keep: Option<KeepLast>,
    lost: HashMap<Server, Lost>,
    /// Where in `lost` each key is.
    servers: HashMap<EndpointKey, Server>,
    kept: usize,
    burst: Burst,
    /// Whose loss is believed so far, in the order in which they went. May have some that are not
    /// lost any more.
    believed: VecDeque<(Instant, EndpointKey)>,
    /// When each of the kept ones expires, in that order. Likewise.
    due: VecDeque<(Instant, EndpointKey)>,
    /// All times here are those of this clock, which stands still while nobody watches etcd.
    watched: Watched,
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
            burst: Burst::default(),
            believed: VecDeque::new(),
            due: VecDeque::new(),
            watched: Watched::default(),
        }
    }

    /// etcd gives `gone` no longer, at once, and has `left` others. Gives those to keep: all, some
    /// that went earlier, or none.
    pub(super) fn lose(&mut self, gone: Vec<Entry>, left: usize, now: Instant) -> Vec<Entry> {
        let Some(keep) = self.keep.clone() else {
            return Vec::new();
        };
        let now = self.watched.time(now);
        self.begin(&gone, left, &keep, now);
        self.add(gone, now);
        if self.burst.is_loss(self.lost.len(), left) {
            self.keep_all(&keep, now)
        } else {
            Vec::new()
        }
    }

    /// etcd has less history than it had and misses `gone`: gives those to keep, which are all.
    /// The time of those that were kept already begins anew, as their servers have to find etcd.
    pub(super) fn forgotten(&mut self, gone: Vec<Entry>, now: Instant) -> Vec<Entry> {
        let Some(keep) = self.keep.clone() else {
            return Vec::new();
        };
        let now = self.watched.time(now);
        self.begin(&gone, 0, &keep, now);
        self.add(gone, now);
        self.believed.clear();
        self.due.clear();
        let until = now.checked_add(keep.limit).unwrap_or(now);
        let mut kept = Vec::new();
        for lost in self.lost.values_mut() {
            if lost.keep_until.replace(until).is_none() {
                kept.push(lost.entry());
            }
            self.due.push_back((until, lost.key.clone()));
        }
        self.kept = self.lost.len();
        kept
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

    /// Nobody watches etcd from now on, or somebody does.
    pub(super) fn watched(&mut self, watched: bool, now: Instant) {
        self.watched.set(watched, now);
    }

    /// Gives up those that were kept for long enough.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Entry> {
        let now = self.watched.time(now);
        let mut over = Vec::new();
        while let Some((_, key)) = pop_if(&mut self.due, |until| until <= now) {
            // One that was found meanwhile may have been lost again since.
            let lost = self.lost_at(&key);
            let is_over = |lost: &&Lost| lost.keep_until.is_some_and(|until| until <= now);
            if let Some(entry) = lost.filter(is_over).map(Lost::entry) {
                self.forget(&key);
                over.push(entry);
            }
        }
        over
    }

    /// When to ask for the expired ones next: not later than the first one expires.
    pub(super) fn expire_at(&self) -> Option<Instant> {
        let (due, _) = self.due.front().filter(|_| self.kept > 0)?;
        Some(self.watched.clock(*due))
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = (&EndpointKey, &Endpoint)> {
        let kept = self.lost.values().filter(|lost| lost.keep_until.is_some());
        kept.map(|lost| (&lost.key, &lost.endpoint))
    }

    /// What is kept under `key`.
    pub(super) fn get(&self, key: &EndpointKey) -> Option<&Endpoint> {
        let lost = self.lost_at(key)?;
        lost.keep_until.map(|_| &lost.endpoint)
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept
    }

    fn lost_at(&self, key: &EndpointKey) -> Option<&Lost> {
        self.servers.get(key).and_then(|at| self.lost.get(at))
    }

    /// Some go: whether that goes on from the last time, and whom it is too late to take back.
    fn begin(&mut self, gone: &[Entry], left: usize, keep: &KeepLast, now: Instant) {
        let goes_on = self.burst.goes_on(keep.window, now);
        let memory = keep.limit.max(keep.window);
        let settled = |at| !goes_on || now.saturating_duration_since(at) >= memory;
        while let Some((at, key)) = pop_if(&mut self.believed, settled) {
            if self.believed_at(&key, at).is_some() {
                self.forget(&key);
                self.burst.settled();
            }
        }
        self.burst.had(gone.len() + left);
    }

    /// The one whose loss at that time is believed, and who did not come back.
    fn believed_at(&mut self, key: &EndpointKey, at: Instant) -> Option<&mut Lost> {
        let lost = self.lost.get_mut(self.servers.get(key)?)?;
        (lost.keep_until.is_none() && lost.at == at).then_some(lost)
    }

    /// One that was lost before gets no more time.
    fn add(&mut self, gone: Vec<Entry>, now: Instant) {
        for (key, endpoint) in gone {
            let server = Server::of(&endpoint);
            if self.lost.contains_key(&server) {
                continue;
            }
            self.forget(&key);
            self.servers.insert(key.clone(), server.clone());
            self.believed.push_back((now, key.clone()));
            let lost = Lost {
                key,
                endpoint,
                at: now,
                keep_until: None,
            };
            self.lost.insert(server, lost);
        }
    }

    /// Keeps those whose loss was believed so far, but for those whose time is over.
    fn keep_all(&mut self, keep: &KeepLast, now: Instant) -> Vec<Entry> {
        let over = |at: Instant| now.saturating_duration_since(at) >= keep.limit;
        let from = self.believed.partition_point(|(at, _)| over(*at));
        let mut kept = Vec::new();
        for (at, key) in self.believed.split_off(from) {
            let until = at.checked_add(keep.limit).unwrap_or(at);
            if let Some(lost) = self.believed_at(&key, at) {
                lost.keep_until = Some(until);
                kept.push(lost.entry());
                self.due.push_back((until, key));
            }
        }
        self.kept += kept.len();
        kept
    }
}

/// The first one, if it is time for it.
fn pop_if<T>(
    queue: &mut VecDeque<(Instant, T)>,
    is_time: impl Fn(Instant) -> bool,
) -> Option<(Instant, T)> {
    let (at, _) = queue.front()?;
    if is_time(*at) {
        queue.pop_front()
    } else {
        None
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
