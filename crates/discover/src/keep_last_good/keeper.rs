use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use evenkeel_core::Endpoint;
use indexmap::IndexSet;

use super::KeepLastGoodConfig;
use crate::set::Server;
use crate::{Change, EndpointKey};

/// Decides which losses of a source to believe. Pure.
#[derive(Debug)]
pub(super) struct Keeper {
    config: KeepLastGoodConfig,
    /// What the source has.
    listed: HashMap<EndpointKey, Endpoint>,
    /// Of those, who is to go when all that the source says at this time is known.
    leaving: IndexSet<EndpointKey>,
    /// What the source has no more and consumers still have.
    held: HashMap<EndpointKey, Held>,
    /// Believed losses within the window.
    recent: VecDeque<(Instant, usize)>,
    down_since: Option<Instant>,
    losses: u64,
    released: u64,
}

#[derive(Debug)]
struct Held {
    endpoint: Endpoint,
    since: Instant,
    /// `None` is for ever.
    until: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(config: KeepLastGoodConfig) -> Self {
        Self {
            config,
            listed: HashMap::new(),
            leaving: IndexSet::new(),
            held: HashMap::new(),
            recent: VecDeque::new(),
            down_since: None,
            losses: 0,
            released: 0,
        }
    }

    /// The source says this; gives what to tell at once.
    pub(super) fn take(&mut self, change: Change, now: Instant) -> Vec<Change> {
        self.is_up(now);
        match change {
            Change::Insert(key, endpoint) => {
                self.leaving.swap_remove(&key);
                let is_same = |held: &Held| held.endpoint.reaches_the_same_server_as(&endpoint);
                let mut same = Vec::new();
                // Looked for only if it is not there under its own key: no other one has it then.
                if !self.held.remove(&key).is_some_and(|held| is_same(&held)) {
                    let others = self.held.extract_if(|_, held| is_same(held));
                    same.extend(others.map(|(key, _)| Change::Remove(key)));
                }
                self.listed.insert(key.clone(), endpoint.clone());
                [Change::Insert(key, endpoint)]
                    .into_iter()
                    .chain(same)
                    .collect()
            }
            Change::Remove(key) => {
                if self.listed.contains_key(&key) {
                    self.leaving.insert(key);
                }
                Vec::new()
            }
        }
    }

    /// The source has said all it has to say at this time; gives the losses that are believed.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<Change> {
        let window = self.config.window;
        let is_old = |at: Instant| now.saturating_duration_since(at) >= window;
        while self.recent.front().is_some_and(|(at, _)| is_old(*at)) {
            self.recent.pop_front();
        }
        let mut leaving = std::mem::take(&mut self.leaving);
        let mut believed = Vec::new();
        if self.is_too_much(leaving.len()) {
            believed = self.renamed(&leaving);
            for key in &believed {
                leaving.swap_remove(key);
                self.listed.remove(key);
            }
        }
        if self.is_too_much(leaving.len()) {
            self.losses += 1;
            self.hold(leaving, now);
        } else if !leaving.is_empty() {
            self.recent.push_back((now, leaving.len()));
            for key in leaving {
                self.listed.remove(&key);
                believed.push(key);
            }
        }
        believed.into_iter().map(Change::Remove).collect()
    }

    /// The source can be asked again, whatever it says.
    pub(super) fn is_up(&mut self, now: Instant) {
        if self.down_since.take().is_some() {
            // It may take a while to say all that it has.
            let until = now.checked_add(self.config.keep_for);
            for held in self.held.values_mut() {
                held.until = until;
            }
        }
    }

    /// The source cannot be asked.
    pub(super) fn is_down(&mut self, now: Instant) {
        self.down_since.get_or_insert(now);
    }

    /// The source has ended, and has nobody any more without saying so.
    pub(super) fn lose_all(&mut self, now: Instant) {
        self.is_down(now);
        let all = self.listed.keys().cloned().collect();
        self.hold(all, now);
    }

    /// When to release the next ones, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.down_since.is_some() {
            return None;
        }
        self.held.values().filter_map(|held| held.until).min()
    }

    /// Gives those who were held back for long enough.
    pub(super) fn release(&mut self, now: Instant) -> Vec<Change> {
        let is_due = |held: &Held| held.until.is_some_and(|until| until <= now);
        let gone = self.held.extract_if(|_, held| is_due(held));
        let gone: Vec<_> = gone.map(|(key, _)| Change::Remove(key)).collect();
        self.released += gone.len() as u64;
        gone
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    pub(super) fn released(&self) -> u64 {
        self.released
    }

    pub(super) fn stale_since(&self) -> Option<Instant> {
        let held = self.held.values().map(|held| held.since);
        held.chain(self.down_since).min()
    }

    /// Of those who leave, the keys whose servers stay under another one: nobody is lost.
    fn renamed(&self, leaving: &IndexSet<EndpointKey>) -> Vec<EndpointKey> {
        let stay = self
            .listed
            .iter()
            .filter(|(key, _)| !leaving.contains(*key));
        let stay: HashSet<_> = stay.map(|(_, endpoint)| Server::of(endpoint)).collect();
        let stays = |key: &&EndpointKey| {
            let endpoint = self.listed.get(*key);
            endpoint.is_some_and(|endpoint| stay.contains(&Server::of(endpoint)))
        };
        leaving.iter().filter(stays).cloned().collect()
    }

    fn is_too_much(&self, leaving: usize) -> bool {
        if leaving == 0 || self.config.accept_empty {
            return false;
        }
        let recent: usize = self.recent.iter().map(|(_, count)| count).sum();
        let all = self.listed.len() + recent;
        let max_loss = self.config.max_loss.clamp(0.0, 1.0) * all as f64;
        leaving == self.listed.len() || (leaving + recent) as f64 > max_loss
    }

    fn hold(&mut self, keys: IndexSet<EndpointKey>, now: Instant) {
        let until = now.checked_add(self.config.keep_for);
        for key in keys {
            if let Some(endpoint) = self.listed.remove(&key) {
                let since = now;
                let held = Held {
                    endpoint,
                    since,
                    until,
                };
                self.held.insert(key, held);
            }
        }
    }
}
