mod lists;
mod tell;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::WatchResponse;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::DiscoverStats;
use super::board::News;
use super::cursor::Cursor;
use super::entries::Entries;
use super::list::{Listed, fetch};
use super::outage::Outage;
use super::probe::Probes;
use super::recall::Recall;
use super::watch::{self, Watch, is_answer_about_progress};
use crate::backoff::Backoff;
use crate::connect::Connection;
use crate::{Etcd, EtcdError};

/// The first delay between attempts.
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// When etcd has no more of what was missed, for many clients at once, they list within this long.
const LIST_WITHIN: Duration = Duration::from_secs(1);

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
    missed: Missed,
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
    /// To list everything while the watch waits: it is all there is if that fails.
    Relist(Box<Watch>, Fetch),
    /// To go on watching over another connection.
    Resume,
    /// To watch what comes after the list.
    Open(Box<Connection>),
    Watch(Box<Watch>),
}

/// From where a watch can go on.
#[derive(Default)]
struct Missed {
    /// Everything up to this revision is known. [`Cursor`] may be further: what etcd says of its
    /// revision with one answer may be ahead of the changes that are yet to come.
    after: i64,
    /// etcd's term when it was watched last. A lower one is another history.
    term: u64,
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
            missed: Missed::default(),
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
            let watched = matches!(phase, Phase::Watch(_) | Phase::Relist(..));
            self.entries.watched(watched, Instant::now().into_std());
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
                Phase::Relist(watch, fetch) => self.relist(watch, fetch).await,
                Phase::Resume => self.resume().await,
                Phase::Open(connection) => match self.open(&connection).await {
                    Ok(watch) => {
                        self.phase = Phase::Watch(watch);
                        self.well()
                    }
                    Err(error) => {
                        self.etcd.suspect(connection.generation(), &error).await;
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

    /// Goes on where the last watch has ended; lists when etcd does not have that any more, or is
    /// another one.
    async fn resume(&mut self) -> News {
        let connection = match self.etcd.connection().await {
            Ok(connection) => connection,
            Err(error) => return self.failed(&error),
        };
        match self.open(&connection).await {
            Ok(mut watch) => {
                watch.is_resumed = true;
                self.phase = Phase::Watch(watch);
                self.well()
            }
            // The connection is well, and so may etcd be.
            Err(error @ EtcdError::StreamEnded { .. }) => self.list_soon(&error),
            Err(error) => {
                self.etcd.suspect(connection.generation(), &error).await;
                self.failed(&error)
            }
        }
    }

    /// etcd has ended a watch, perhaps those of many others too.
    fn list_soon(&mut self, error: &EtcdError) -> News {
        info!(service = %self.service, "the watch has ended, listing again: {error}");
        let within = LIST_WITHIN.min(self.etcd.config().max_backoff);
        self.phase = Phase::Wait(Instant::now() + within.mul_f64(fastrand::f64()));
        News::default()
    }

    /// Watches from what is known on; ready when etcd has confirmed it.
    async fn open(&mut self, connection: &Connection) -> Result<Box<Watch>, EtcdError> {
        let from = self.missed.after + 1;
        let (watch, first) = Watch::open(&self.etcd, connection, &self.prefix, from).await?;
        // A watch from a revision that is yet to come is created all the same, and silent. So this
        // is where an etcd that was restored since the list shows.
        let ended = |reason| EtcdError::ended(watch::ACTION, reason);
        self.apply(&first).map_err(ended)?;
        let term = first.header().map_or(0, |header| header.raft_term());
        let before = std::mem::replace(&mut self.missed.term, term);
        if term < before {
            return Err(ended(format!("history went from term {before} to {term}")));
        }
        self.stats.watches.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(watch))
    }

    /// Waits for the next response and applies it; begins again when the watch has ended.
    async fn follow(&mut self, mut watch: Box<Watch>) -> News {
        // Only while etcd is watched, so that an outage removes nobody.
        let expire_at = self.entries.expire_at().map(Instant::from_std);
        let relist_at = watch.relist_at;
        let kept = self.entries.kept_len();
        if kept == 0 {
            self.probes.reset();
        }
        // What a start without etcd should have: not what is left after a loss.
        let is_good = kept == 0 && !self.entries.is_empty();
        let message = tokio::select! {
            // A watch that has something to say is alive, whatever else there is to do.
            biased;
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
            () = self.recall.work(self.cursor), if is_good => {
                self.phase = Phase::Watch(watch);
                return News::default();
            }
            () = sleep_until(relist_at) => {
                debug!(service = %self.service, "listing again, as it is time");
                let fetch = fetch(self.etcd.clone(), self.prefix.clone());
                self.phase = Phase::Relist(watch, Box::pin(fetch));
                return News::default();
            }
        };
        let was_good = watch.since.elapsed() >= self.etcd.config().max_backoff;
        match message {
            Ok(response) => match self.apply(&response) {
                Ok(()) => {
                    self.phase = Phase::Watch(watch);
                    self.changes()
                }
                Err(reason) => {
                    let error = EtcdError::ended(watch::ACTION, reason);
                    if was_good || watch.is_resumed {
                        self.backoff.reset();
                        return self.list_soon(&error);
                    }
                    self.failed(&error)
                }
            },
            Err(error) => {
                self.etcd.suspect(watch.generation, &error).await;
                let may_resume = error.is_about_the_member() || error.is_about_the_token();
                if was_good && may_resume {
                    // The attempt also tells whether etcd is there. Once it was not, what is there
                    // next may have another history, which only a list would show.
                    self.backoff.reset();
                    info!(service = %self.service, "the watch has ended, watching again: {error}");
                    self.phase = Phase::Resume;
                    return News::default();
                }
                self.failed(&error)
            }
        }
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
            self.missed.after = self.missed.after.max(entry.mod_revision());
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
}

/// Why a watch was cancelled.
fn end_of(response: &WatchResponse) -> String {
    match (response.compact_revision(), response.cancel_reason()) {
        (0, "") => "cancelled".to_owned(),
        (0, reason) => reason.to_owned(),
        (revision, _) => format!("compacted up to revision {revision}"),
    }
}
