use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{KeyValue, WatchResponse};
use evenkeel_discover::DiscoverError;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::DiscoverStats;
use super::board::{News, State};
use super::cursor::Cursor;
use super::entries::{Entries, Raw};
use super::list::{Listed, fetch};
use super::outage::Outage;
use super::probe::Probes;
use super::recall::Recall;
use super::snapshot::Stored;
use super::watch::{self, Watch, is_answer_about_progress};
use crate::backoff::Backoff;
use crate::connect::Connection;
use crate::{Etcd, EtcdError};

/// The first delay between attempts.
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// Lists, watches, and begins again.
pub(super) struct Watcher {
    etcd: Etcd,
    service: Arc<str>,
    /// What the full keys start with; ends in `/`.
    prefix: String,
    entries: Entries,
    recall: Recall,
    probes: Probes,
    told_empty: bool,
    cursor: Cursor,
    phase: Phase,
    outage: Outage,
    backoff: Backoff,
    stats: Arc<DiscoverStats>,
}

/// What etcd has, and the connection over which it said so.
type Fetch = Pin<Box<dyn Future<Output = Result<(Connection, Listed), EtcdError>> + Send>>;

enum Phase {
    /// Nothing is under way before then.
    Wait(Instant),
    /// To list everything.
    List,
    Listing(Fetch),
    /// To watch what comes after the list.
    Open(Box<Connection>),
    Watch(Box<Watch>),
}

impl Watcher {
    pub(super) fn new(etcd: Etcd, service: &str, stats: Arc<DiscoverStats>) -> Self {
        let config = etcd.config();
        let prefix = etcd.key(&config.codec.prefix(service));
        Self {
            entries: Entries::new(config, service, Arc::clone(&stats)),
            recall: Recall::new(config, &prefix, Arc::clone(&stats)),
            probes: Probes::new(&config.on_loss),
            outage: Outage::new(config.report_after),
            backoff: Backoff::new(MIN_BACKOFF, config.max_backoff),
            service: service.into(),
            prefix,
            told_empty: false,
            cursor: Cursor::default(),
            phase: Phase::List,
            stats,
            etcd,
        }
    }

    /// Works until there is something to tell. When this is dropped, the next call begins with a
    /// list.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let phase = std::mem::replace(&mut self.phase, Phase::List);
            let news = match phase {
                Phase::Wait(until) => {
                    sleep_until(until).await;
                    News::default()
                }
                Phase::List => {
                    let fetch = fetch(self.etcd.clone(), self.prefix.clone());
                    self.phase = Phase::Listing(Box::pin(fetch));
                    News::default()
                }
                Phase::Listing(fetch) => self.list(fetch).await,
                Phase::Open(connection) => match self.open(&connection).await {
                    Ok(watch) => {
                        self.phase = Phase::Watch(watch);
                        self.well()
                    }
                    Err(error) => {
                        self.etcd.discard(connection.generation(), &error).await;
                        self.failed(&error)
                    }
                },
                Phase::Watch(watch) => self.follow(watch).await,
            };
            if !news.is_empty() {
                return news;
            }
        }
    }

    /// Takes over what etcd has now.
    async fn list(&mut self, mut fetch: Fetch) -> News {
        let recall_at = self.recall.at();
        let fetched = tokio::select! {
            fetched = &mut fetch => fetched,
            () = sleep_until(recall_at.unwrap_or_else(Instant::now)), if recall_at.is_some() => {
                let news = self.recall().await;
                self.phase = Phase::Listing(fetch);
                return news;
            }
        };
        match fetched {
            Ok((connection, (cursor, list))) => {
                self.take_over(cursor, &list);
                self.phase = Phase::Open(Box::new(connection));
                self.changes()
            }
            Err(error) => {
                let recalled = self.recall().await;
                let mut news = self.failed(&error);
                news.changes = recalled.changes;
                news
            }
        }
    }

    fn take_over(&mut self, cursor: Cursor, list: &[KeyValue]) {
        self.stats.lists.fetch_add(1, Ordering::Relaxed);
        let from = self.cursor;
        let continued = from == Cursor::default() || self.cursor.advance(cursor);
        let now = Instant::now().into_std();
        self.entries
            .replace(list.iter().map(Raw::from), continued, now);
        self.recall.replace(list.iter().map(Raw::from));
        if !continued {
            let (service, kept) = (&self.service, self.entries.kept_len());
            warn!(%service, ?from, to = ?cursor, kept, "etcd was replaced or restored");
        }
        self.cursor = cursor;
        self.stats.hear(cursor.revision, now);
    }

    /// Has the last list that is remembered, if there is one and nothing better.
    async fn recall(&mut self) -> News {
        let Some(Stored { cursor, age, keys }) = self.recall.list().await else {
            return News::default();
        };
        let keys = keys.iter().map(|(key, (value, revision))| Raw {
            key,
            value,
            revision: *revision,
        });
        let now = Instant::now().into_std();
        self.entries.replace(keys, true, now);
        self.cursor = cursor;
        self.stats.stale(now.checked_sub(age).unwrap_or(now));
        News {
            changes: self.entries.changes(),
            state: None,
        }
    }

    /// Watches from the list on; ready when etcd has confirmed it.
    async fn open(&mut self, connection: &Connection) -> Result<Box<Watch>, EtcdError> {
        let from = self.cursor.revision + 1;
        let (watch, first) = Watch::open(&self.etcd, connection, &self.prefix, from).await?;
        // A watch from a revision that is yet to come is created all the same, and silent. So this
        // is where an etcd that was restored since the list shows.
        self.apply(&first)
            .map_err(|reason| EtcdError::ended(watch::ACTION, reason))?;
        self.stats.watches.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(watch))
    }

    /// Waits for the next response and applies it; begins again when the watch has ended.
    async fn follow(&mut self, mut watch: Box<Watch>) -> News {
        // Only while etcd is watched, so that an outage removes nobody.
        let expire_at = self.entries.expire_at().map(Instant::from_std);
        let (relist_at, generation) = (watch.relist_at, watch.generation);
        let kept = self.entries.kept_len();
        if kept == 0 {
            self.probes.reset();
        }
        // What a start without etcd should have: not what is left after a loss.
        let is_good = kept == 0 && !self.entries.is_empty();
        let message = tokio::select! {
            message = watch.next(&self.etcd) => message,
            () = sleep_until(expire_at.unwrap_or(relist_at)), if expire_at.is_some() => {
                self.entries.expire(Instant::now().into_std());
                self.phase = Phase::Watch(watch);
                return self.changes();
            }
            key = self.probes.refused(&self.entries), if kept > 0 => {
                self.entries.refused(&key);
                self.phase = Phase::Watch(watch);
                return self.changes();
            }
            error = self.etcd.lost(generation) => Err(error),
            () = self.recall.work(self.cursor), if is_good => {
                self.phase = Phase::Watch(watch);
                return News::default();
            }
            () = sleep_until(relist_at) => {
                debug!(service = %self.service, "listing again, as it is time");
                return News::default();
            }
        };
        let error = match message {
            Ok(response) => match self.apply(&response) {
                Ok(()) => {
                    self.phase = Phase::Watch(watch);
                    return self.changes();
                }
                Err(reason) => EtcdError::ended(watch::ACTION, reason),
            },
            Err(error) => {
                self.etcd.discard(watch.generation, &error).await;
                error
            }
        };
        if watch.since.elapsed() >= self.etcd.config().max_backoff {
            // It was a good one: no wait before the list, which also tells whether etcd is there.
            self.backoff.reset();
            info!(service = %self.service, "the watch has ended, listing again: {error}");
            return News::default();
        }
        self.failed(&error)
    }

    /// The whole response or nothing.
    fn apply(&mut self, response: &WatchResponse) -> Result<(), String> {
        if response.canceled() {
            return Err(end_of(response));
        }
        let header = response.header().ok_or("a response without a header")?;
        let (from, header) = (self.cursor, Cursor::from(header));
        let continued = if is_answer_about_progress(response) {
            !from.is_of_another_cluster(header)
        } else {
            self.cursor.advance(header)
        };
        if !continued {
            return Err(format!("history went from {from:?} to {header:?}"));
        }
        for entry in response.events().iter().filter_map(|event| event.kv()) {
            // Only a deleted key has version 0; `Event::event_type` panics on types it does not know.
            if entry.version() == 0 {
                self.entries.delete(entry.key());
                self.recall.delete(entry.key());
            } else {
                self.entries.put(entry.into());
                self.recall.put(entry.into());
            }
        }
        let now = Instant::now().into_std();
        self.entries.settle(now);
        self.stats.hear(self.cursor.revision, now);
        Ok(())
    }

    /// What to tell of the entries.
    fn changes(&mut self) -> News {
        let changes = self.entries.changes();
        let empty = self.entries.is_empty();
        let state = if empty {
            let name = Arc::clone(self.etcd.name());
            let report = || DiscoverError::empty(name, Arc::clone(&self.service));
            (!self.told_empty).then(|| State::Report(report()))
        } else {
            (!changes.is_empty()).then_some(State::Well)
        };
        self.told_empty = empty;
        News { changes, state }
    }

    /// An attempt has failed: when to try again, and what to tell.
    fn failed(&mut self, error: &EtcdError) -> News {
        let now = Instant::now();
        let failed = self.outage.failed(now.into_std(), error.is_refusal());
        self.stats.stale(failed.since);
        let until = now + self.backoff.next(fastrand::f64());
        let due = self.outage.report_due().map(Instant::from_std);
        self.phase = Phase::Wait(due.map_or(until, |due| until.min(due)));
        let (service, etcd) = (&self.service, self.etcd.name());
        if failed.first {
            warn!(%service, %etcd, "discovery is failing, the last endpoints stay: {error}");
        } else {
            debug!(%service, %etcd, "{error}");
        }
        if !failed.report {
            return News::default();
        }
        self.told_empty = false;
        let report = DiscoverError::unavailable(
            Arc::clone(etcd),
            failed.since,
            now.into_std(),
            error.clone(),
        );
        State::Report(report).into()
    }

    /// The list is good and watched.
    fn well(&mut self) -> News {
        self.stats.well();
        let Some(since) = self.outage.over() else {
            return News::default();
        };
        let down_for = Instant::now().into_std().saturating_duration_since(since);
        info!(service = %self.service, ?down_for, "discovery works again");
        if self.told_empty {
            return News::default();
        }
        State::Well.into()
    }
}

/// Why a watch was cancelled.
fn end_of(response: &WatchResponse) -> String {
    match (response.compact_revision(), response.cancel_reason()) {
        (0, "") => "cancelled".to_owned(),
        (0, reason) => reason.to_owned(),
        (revision, _) => format!("compacted up to revision {revision}"),
    }
}
