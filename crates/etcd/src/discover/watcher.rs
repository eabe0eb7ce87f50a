use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{KeyValue, WatchOptions, WatchResponse, WatchStream};
use evenkeel_discover::DiscoverError;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::cursor::Cursor;
use super::entries::{Entries, Raw};
use super::list::{MAX_MESSAGE, list, range_end};
use super::outage::Outage;
use super::{DiscoverStats, Item};
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
    told_empty: bool,
    /// An outage was reported, and nothing has contradicted that yet.
    told_outage: bool,
    cursor: Cursor,
    phase: Phase,
    outage: Outage,
    backoff: Backoff,
    stats: Arc<DiscoverStats>,
}

enum Phase {
    /// Nothing is under way before then.
    Wait(Instant),
    /// To list everything.
    List,
    /// To watch what comes after the list.
    Open(Box<Connection>),
    Watch(Box<Watch>),
}

struct Watch {
    stream: WatchStream,
    generation: usize,
    since: Instant,
    /// When to list again although the watch seems well.
    relist_at: Instant,
}

impl Watcher {
    pub(super) fn new(etcd: Etcd, service: &str, stats: Arc<DiscoverStats>) -> Self {
        let config = etcd.config();
        let prefix = etcd.key(&config.codec.prefix(service));
        Self {
            entries: Entries::new(config, service, Arc::clone(&stats)),
            outage: Outage::new(config.report_after),
            backoff: Backoff::new(MIN_BACKOFF, config.max_backoff),
            service: service.into(),
            prefix,
            told_empty: false,
            told_outage: false,
            cursor: Cursor::default(),
            phase: Phase::List,
            stats,
            etcd,
        }
    }

    /// Works until there is something to tell.
    pub(super) async fn next(mut self) -> (Self, Vec<Item>) {
        loop {
            let phase = std::mem::replace(&mut self.phase, Phase::List);
            let news = match phase {
                Phase::Wait(until) => {
                    sleep_until(until).await;
                    Vec::new()
                }
                Phase::List => match self.list().await {
                    Ok(connection) => {
                        self.phase = Phase::Open(Box::new(connection));
                        self.changes()
                    }
                    Err(error) => self.failed(&error),
                },
                Phase::Open(connection) => match self.open(&connection).await {
                    Ok(watch) => {
                        self.phase = Phase::Watch(watch);
                        self.well()
                    }
                    Err(error) => {
                        self.etcd.discard(connection.generation()).await;
                        self.failed(&error)
                    }
                },
                Phase::Watch(watch) => self.follow(watch).await,
            };
            if !news.is_empty() {
                return (self, news);
            }
        }
    }

    /// Takes over what etcd has now.
    async fn list(&mut self) -> Result<Connection, EtcdError> {
        let connection = self.etcd.connection().await?;
        match list(&self.etcd, &connection, &self.prefix).await {
            Ok((cursor, list)) => {
                self.stats.lists.fetch_add(1, Ordering::Relaxed);
                let same = self.cursor == Cursor::default() || self.cursor.advance(cursor);
                if !same {
                    self.entries.lost(Instant::now().into_std());
                }
                self.entries.replace(list.iter().map(raw));
                if !same {
                    let (service, from, kept) = (&self.service, self.cursor, self.entries.kept());
                    warn!(%service, ?from, to = ?cursor, kept, "etcd was replaced or restored");
                }
                self.cursor = cursor;
                Ok(connection)
            }
            Err(error) => {
                self.etcd.discard(connection.generation()).await;
                Err(error)
            }
        }
    }

    /// Watches from the list on; ready when etcd has confirmed it.
    async fn open(&mut self, connection: &Connection) -> Result<Box<Watch>, EtcdError> {
        const ACTION: &str = "watch endpoints";
        let mut client = connection
            .client
            .watch_client()
            .max_decoding_message_size(MAX_MESSAGE);
        let options = WatchOptions::new()
            .with_range(range_end(self.prefix.as_bytes()))
            .with_start_revision(self.cursor.revision + 1)
            .with_progress_notify();
        let request = async {
            let mut stream = client.watch(self.prefix.as_str(), Some(options)).await?;
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let (stream, first) = self.etcd.answer(ACTION, request).await?;
        let first = first.ok_or_else(|| EtcdError::ended(ACTION, "refused"))?;
        // A watch from a revision that is yet to come is created all the same, and silent. So this
        // is where an etcd that was restored since the list shows.
        self.apply(&first)
            .map_err(|reason| EtcdError::ended(ACTION, reason))?;
        let now = Instant::now();
        let jitter = 0.9 + 0.2 * fastrand::f64();
        let relist_every = self.etcd.config().relist_every.mul_f64(jitter);
        Ok(Box::new(Watch {
            stream,
            generation: connection.generation(),
            since: now,
            relist_at: now + relist_every,
        }))
    }

    /// Waits for the next response and applies it; begins again when the watch has ended.
    async fn follow(&mut self, mut watch: Box<Watch>) -> Vec<Item> {
        // Only while etcd is watched, so that an outage removes nobody.
        let expire_at = self.entries.expire_at().map(Instant::from_std);
        let message = tokio::select! {
            message = watch.stream.message() => message,
            () = sleep_until(expire_at.unwrap_or(watch.relist_at)), if expire_at.is_some() => {
                self.entries.expire(Instant::now().into_std());
                self.phase = Phase::Watch(watch);
                return self.changes();
            }
            () = sleep_until(watch.relist_at) => {
                debug!(service = %self.service, "listing again, as it is time");
                return Vec::new();
            }
        };
        let error = match message {
            Ok(Some(response)) => match self.apply(&response) {
                Ok(()) => {
                    self.phase = Phase::Watch(watch);
                    return self.changes();
                }
                Err(reason) => EtcdError::ended("watch endpoints", reason),
            },
            Ok(None) => EtcdError::ended("watch endpoints", "the stream was closed"),
            Err(error) => {
                self.etcd.discard(watch.generation).await;
                EtcdError::request("watch endpoints", error)
            }
        };
        if watch.since.elapsed() >= self.etcd.config().max_backoff {
            // It was a good one: no wait before the list, which also tells whether etcd is there.
            self.backoff.reset();
            info!(service = %self.service, "the watch has ended, listing again: {error}");
            return Vec::new();
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
        if !self.cursor.advance(header) {
            return Err(format!("history went from {from:?} to {header:?}"));
        }
        for entry in response.events().iter().filter_map(|event| event.kv()) {
            // Only a deleted key has version 0; `Event::event_type` panics on types it does not know.
            if entry.version() == 0 {
                self.entries.delete(entry.key());
            } else {
                self.entries.put(raw(entry));
            }
        }
        Ok(())
    }

    /// What to tell of the entries.
    fn changes(&mut self) -> Vec<Item> {
        let mut news: Vec<Item> = self.entries.changes().into_iter().map(Ok).collect();
        let empty = self.entries.is_empty();
        if empty && !self.told_empty {
            let name = Arc::clone(self.etcd.name());
            news.push(Err(DiscoverError::empty(name, Arc::clone(&self.service))));
        }
        self.told_empty = empty;
        self.told_outage &= news.is_empty();
        news
    }

    /// An attempt has failed: when to try again, and what to tell.
    fn failed(&mut self, error: &EtcdError) -> Vec<Item> {
        let now = Instant::now();
        let failed = self.outage.failed(now.into_std(), error.is_refusal());
        *self.stats.stale_since.lock() = Some(failed.since);
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
            return Vec::new();
        }
        self.told_empty = false;
        self.told_outage = true;
        vec![Err(DiscoverError::unavailable(
            Arc::clone(etcd),
            failed.since,
            now.into_std(),
            error.clone(),
        ))]
    }

    /// The list is good and watched.
    fn well(&mut self) -> Vec<Item> {
        *self.stats.stale_since.lock() = None;
        let Some(since) = self.outage.over() else {
            return Vec::new();
        };
        let down_for = Instant::now().into_std().saturating_duration_since(since);
        info!(service = %self.service, ?down_for, "discovery works again");
        if !std::mem::take(&mut self.told_outage) {
            return Vec::new();
        }
        // Told once more as it is, because nothing else says that the outage is over.
        self.entries.any().map(Ok).into_iter().collect()
    }
}

fn raw(entry: &KeyValue) -> Raw<'_> {
    Raw {
        key: entry.key(),
        value: entry.value(),
        revision: entry.mod_revision(),
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
