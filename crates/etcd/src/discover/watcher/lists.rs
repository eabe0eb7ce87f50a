use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::KeyValue;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::{Fetch, Phase, Watcher};
use crate::discover::board::News;
use crate::discover::cursor::Cursor;
use crate::discover::entries::Raw;
use crate::discover::snapshot::Stored;
use crate::discover::watch::{self, Watch};

/// When to list again beside a watch that is well, after etcd was too slow for it.
const RELIST_AGAIN: Duration = Duration::from_secs(10);

impl Watcher {
    /// Takes over what etcd has now.
    pub(super) async fn list(&mut self, mut fetch: Fetch) -> News {
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

    /// Lists everything although the watch seems well. It is not read meanwhile, so that no change is
    /// applied before the list that has it.
    pub(super) async fn relist(&mut self, mut watch: Box<Watch>, fetch: Fetch) -> News {
        match fetch.await {
            Ok((connection, (cursor, list))) => {
                drop(watch);
                self.take_over(cursor, &list);
                self.phase = Phase::Open(Box::new(connection));
                self.changes()
            }
            // A slow etcd does not lose a watch that works; one that is away ends it by itself.
            Err(error) if error.is_about_the_member() => {
                debug!(service = %self.service, "not listed again: {error}");
                let again = RELIST_AGAIN.min(self.etcd.config().relist_every);
                watch.relist_at = Instant::now() + watch::jittered(again);
                self.phase = Phase::Watch(watch);
                News::default()
            }
            Err(error) => self.failed(&error),
        }
    }

    pub(super) fn take_over(&mut self, cursor: Cursor, list: &[KeyValue]) {
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
        self.missed.after = cursor.revision;
        self.stats.hear(cursor.revision, now);
    }

    /// Has the last list that is remembered, if there is one and nothing better.
    pub(super) async fn recall(&mut self) -> News {
        let Some(Stored { cursor, age, keys }) = self.recall.list().await else {
            return News::default();
        };
        let keys = keys.iter().map(|(key, (value, revision))| Raw {
            key,
            value,
            revision: *revision,
        });
        let now = Instant::now().into_std();
        self.entries.recall(keys, now);
        self.cursor = cursor;
        self.stats.stale(now.checked_sub(age).unwrap_or(now));
        News {
            changes: self.entries.changes(),
            state: None,
        }
    }
}
