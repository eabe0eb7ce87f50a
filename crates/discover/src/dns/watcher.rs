use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::lookup::{Lookup, LookupError};
use super::pace::Pace;
use super::{DnsConfig, DnsHandle, Item};
use crate::source::now;
use crate::{Change, DiscoverError, EndpointSet};

/// Looks up, waits, and looks up again.
pub(super) struct Watcher {
    lookup: Lookup,
    name: Arc<str>,
    server: Arc<str>,
    pace: Pace,
    /// Somebody wants the next lookup soon.
    asked: bool,
    set: EndpointSet,
    revision: u64,
    down_since: Option<Instant>,
    /// The last thing told was a report.
    reported: bool,
    told_empty: bool,
    handle: DnsHandle,
}

impl Watcher {
    pub(super) fn new(
        lookup: Lookup,
        name: Arc<str>,
        config: &DnsConfig,
        handle: DnsHandle,
    ) -> Self {
        Self {
            server: lookup.server().into(),
            lookup,
            name,
            pace: Pace::new(config),
            asked: false,
            set: EndpointSet::new(),
            revision: 0,
            down_since: None,
            reported: false,
            told_empty: false,
            handle,
        }
    }

    /// Works until there is something to tell.
    pub(super) async fn next(mut self) -> (Self, Vec<Item>) {
        loop {
            self.wait().await;
            let answer = self.lookup.ask().await;
            self.asked = false;
            let shared = &self.handle.shared;
            shared.lookups.fetch_add(1, Ordering::Relaxed);
            let news = match answer {
                Ok(answer) => {
                    let now = now();
                    if let Some(error) = answer.partial {
                        tracing::debug!(name = %self.name, %error, "DNS has answered in part");
                        self.pace.partly(now, answer.ttl, fastrand::f64());
                        shared.failures.fetch_add(1, Ordering::Relaxed);
                        let since = *self.down_since.get_or_insert(now);
                        *shared.stale_since.lock() = Some(since);
                    } else {
                        if answer.endpoints.is_empty() {
                            self.pace.empty(now, fastrand::f64());
                        } else {
                            self.pace.answered(now, answer.ttl);
                        }
                        self.down_since = None;
                        *shared.stale_since.lock() = None;
                    }
                    if answer.endpoints.is_empty() {
                        self.empty()
                    } else {
                        self.listed(answer.endpoints)
                    }
                }
                Err(error) => self.failed(error),
            };
            if !news.is_empty() {
                return (self, news);
            }
        }
    }

    async fn wait(&mut self) {
        let handle = self.handle.clone();
        while let Some(due) = self.pace.due(self.asked) {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => return,
                () = handle.shared.asked.notified(), if !self.asked => self.asked = true,
            }
        }
    }

    fn listed(
        &mut self,
        endpoints: Vec<(crate::EndpointKey, evenkeel_core::Endpoint)>,
    ) -> Vec<Item> {
        self.revision += 1;
        let revision = self.revision;
        let endpoints = endpoints.into_iter();
        self.set
            .replace(endpoints.map(|(key, endpoint)| (key, endpoint, revision)));
        let mut changes = self.set.changes();
        if changes.is_empty() && self.reported {
            // Told once more as it is, because nothing else says that the outage is over.
            let told = self.set.told().next();
            changes
                .extend(told.map(|(key, endpoint)| Change::Insert(key.clone(), endpoint.clone())));
        }
        self.reported = false;
        self.told_empty = false;
        changes.into_iter().map(Ok).collect()
    }

    /// The name is gone, or has no such records: the last good ones stay, as in gRPC.
    fn empty(&mut self) -> Vec<Item> {
        if std::mem::replace(&mut self.told_empty, true) {
            return Vec::new();
        }
        self.reported = true;
        let (server, name) = (Arc::clone(&self.server), Arc::clone(&self.name));
        vec![Err(DiscoverError::empty(server, name))]
    }

    fn failed(&mut self, error: LookupError) -> Vec<Item> {
        let now = now();
        let since = *self.down_since.get_or_insert(now);
        let shared = &self.handle.shared;
        shared.failures.fetch_add(1, Ordering::Relaxed);
        *shared.stale_since.lock() = Some(since);
        self.pace.failed(now, fastrand::f64());
        self.reported = true;
        self.told_empty = false;
        let server = Arc::clone(&self.server);
        vec![Err(DiscoverError::unavailable(server, since, now, error))]
    }
}
