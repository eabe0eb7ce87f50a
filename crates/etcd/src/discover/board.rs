use std::collections::{HashMap, HashSet, VecDeque};

use evenkeel_core::{Endpoint, Waited, Waiter, Waiters};
use evenkeel_discover::{Change, DiscoverError, EndpointKey};

use super::Item;

/// Changes that are remembered at least, for those who are behind.
const MEMORY: usize = 256;

/// What one discovery tells all who follow it. Each has a [`View`] of its own, takes what is new
/// to it when it likes, and holds up nobody.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// With the number of the change that brought each.
    endpoints: HashMap<EndpointKey, (Endpoint, u64)>,
    /// The number of the last change.
    changes: u64,
    /// The keys of the last changes. Who is further behind compares everything instead.
    log: VecDeque<EndpointKey>,
    report: Option<DiscoverError>,
    /// The number of the last report.
    reports: u64,
    waiters: Waiters,
    /// Whether somebody publishes.
    pub(super) driven: bool,
}

/// What is new.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) changes: Vec<Change>,
    pub(super) state: Option<State>,
}

/// How the source is, from now on.
#[derive(Debug)]
pub(super) enum State {
    Well,
    Report(DiscoverError),
}

/// How far one follower has come.
#[derive(Debug)]
pub(super) struct View {
    waiter: Waiter,
    changes: u64,
    reports: u64,
    told: HashSet<EndpointKey>,
    /// A report was told, and nothing has contradicted that yet.
    reported: bool,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.state.is_none()
    }
}

impl From<State> for News {
    fn from(state: State) -> Self {
        Self {
            changes: Vec::new(),
            state: Some(state),
        }
    }
}

impl Board {
    /// Takes the news; nobody is told until [`Self::waiting`] are woken.
    pub(super) fn publish(&mut self, news: News) {
        for change in news.changes {
            self.changes += 1;
            let key = match change {
                Change::Insert(key, endpoint) => {
                    let entry = (endpoint, self.changes);
                    self.endpoints.insert(key.clone(), entry);
                    key
                }
                Change::Remove(key) => {
                    self.endpoints.remove(&key);
                    key
                }
            };
            self.log.push_back(key);
        }
        let excess = self
            .log
            .len()
            .saturating_sub(MEMORY.max(self.endpoints.len()));
        self.log.drain(..excess);
        match news.state {
            Some(State::Well) => self.report = None,
            Some(State::Report(report)) => {
                self.report = Some(report);
                self.reports += 1;
            }
            None => {}
        }
    }

    /// Those who wait for news.
    pub(super) fn waiting(&mut self) -> Waited {
        self.waiters.take()
    }

    /// Nobody publishes any more; gives those who may do something about it.
    pub(super) fn abandon(&mut self) -> Waited {
        self.driven = false;
        self.waiters.take()
    }

    /// Somebody who has been told nothing.
    pub(super) fn enter(&mut self) -> View {
        View {
            waiter: self.waiters.enter(),
            changes: 0,
            reports: 0,
            told: HashSet::new(),
            reported: false,
        }
    }

    /// `view` is woken by the next news.
    pub(super) fn wait(&mut self, view: &View, cx: &std::task::Context<'_>) {
        self.waiters.wait(&view.waiter, cx);
    }

    /// `view` is gone.
    pub(super) fn leave(&mut self, view: &View) {
        self.waiters.leave(&view.waiter);
    }
}

impl View {
    /// The fewest items that bring this follower to the present; inserts come before removes, and
    /// a report last.
    pub(super) fn catch_up(&mut self, board: &Board) -> Vec<Item> {
        let mut items = self.changes(board);
        if self.reports != board.reports {
            self.reports = board.reports;
            if let Some(report) = &board.report {
                items.push(Err(report.clone()));
                self.reported = true;
                return items;
            }
        }
        if self.reported && board.report.is_none() {
            if items.is_empty() {
                // Nothing else says that it is well again.
                items.extend(self.again(board).map(Ok));
            }
            self.reported = false;
        }
        items
    }

    fn changes(&mut self, board: &Board) -> Vec<Item> {
        let behind = board.changes - self.changes;
        let mut inserts = Vec::new();
        let mut removes = Vec::new();
        if let Ok(behind) = usize::try_from(behind)
            && behind <= board.log.len()
        {
            let news = board.log.range(board.log.len() - behind..);
            for key in news.collect::<HashSet<_>>() {
                match board.endpoints.get(key) {
                    Some((endpoint, number)) => inserts.push((*number, key, endpoint)),
                    None if self.told.remove(key) => removes.push(key.clone()),
                    None => {}
                }
            }
        } else {
            let endpoints = board.endpoints.iter();
            let new = endpoints.filter(|(_, (_, number))| *number > self.changes);
            inserts.extend(new.map(|(key, (endpoint, number))| (*number, key, endpoint)));
            let gone = |key: &EndpointKey| !board.endpoints.contains_key(key);
            removes.extend(self.told.extract_if(gone));
        }
        self.changes = board.changes;
        inserts.sort_unstable_by_key(|(number, ..)| *number);
        let mut items = Vec::with_capacity(inserts.len() + removes.len());
        for (_, key, endpoint) in inserts {
            self.told.insert(key.clone());
            items.push(Ok(Change::Insert(key.clone(), endpoint.clone())));
        }
        removes.sort_unstable();
        items.extend(removes.into_iter().map(|key| Ok(Change::Remove(key))));
        items
    }

    /// An endpoint that was told, as it is.
    fn again(&self, board: &Board) -> Option<Change> {
        let key = self.told.iter().next()?;
        let (endpoint, _) = board.endpoints.get(key)?;
        Some(Change::Insert(key.clone(), endpoint.clone()))
    }
}

#[cfg(test)]
mod tests;
