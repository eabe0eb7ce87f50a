use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::DiscoverStats;
use super::cursor::Cursor;
use super::entries::Raw;
use super::snapshot::{Snapshot, Stored};
use crate::EtcdConfig;

/// An etcd that does not answer for so long at the start is one to start without. Longer than it takes
/// to shake hands, check a password and list a few pages.
const FIRST_LIST: Duration = Duration::from_secs(1);

/// What is remembered of the list, if anything is, and when that is used.
#[derive(Debug)]
pub(super) struct Recall {
    snapshot: Option<Snapshot>,
    max_age: Duration,
    when: When,
    stats: Arc<DiscoverStats>,
}

#[derive(Clone, Copy, Debug)]
enum When {
    /// When the first list has not come within this time, or fails.
    Unless(Duration),
    /// Likewise, and this is when.
    At(Instant),
    /// Not any more.
    Never,
}

impl Recall {
    pub(super) fn new(config: &EtcdConfig, prefix: &str, stats: Arc<DiscoverStats>) -> Self {
        let folder = config.snapshot.as_ref();
        Self {
            when: match folder {
                Some(_) => When::Unless(FIRST_LIST.min(config.report_after)),
                None => When::Never,
            },
            max_age: config.snapshot_max_age,
            snapshot: folder.map(|folder| Snapshot::new(folder, prefix)),
            stats,
        }
    }

    /// When it is time to recall it, if it will be; the clock starts with the first call.
    pub(super) fn at(&mut self) -> Option<Instant> {
        if let When::Unless(time) = self.when {
            self.when = When::At(Instant::now() + time);
        }
        match self.when {
            When::At(at) => Some(at),
            When::Unless(_) | When::Never => None,
        }
    }

    /// What is remembered; none the second time, or when etcd has answered before.
    pub(super) async fn list(&mut self) -> Option<Stored> {
        let snapshot = self.snapshot.as_ref()?;
        if matches!(self.when, When::Never) {
            return None;
        }
        let stored = snapshot.read().await;
        self.when = When::Never;
        let file = snapshot.path().display();
        match stored {
            Ok(Some(stored)) if stored.age >= self.max_age => {
                let (age, max_age) = (stored.age, self.max_age);
                warn!(%file, ?age, ?max_age, "etcd does not answer, and its last list is too old");
                None
            }
            Ok(Some(stored)) => {
                let (age, keys) = (stored.age, stored.keys.len());
                warn!(%file, ?age, keys, "etcd does not answer, its last list is used");
                Some(stored)
            }
            Ok(None) => {
                debug!(%file, "etcd does not answer, and there is no list of it yet");
                None
            }
            Err(error) => {
                self.stats.snapshot_errors.fetch_add(1, Ordering::Relaxed);
                warn!(%file, "etcd does not answer, and its last list is of no use: {error}");
                None
            }
        }
    }

    /// etcd has exactly these.
    pub(super) fn replace<'a>(&mut self, list: impl Iterator<Item = Raw<'a>>) {
        self.when = When::Never;
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.replace(list);
        }
    }

    pub(super) fn put(&mut self, raw: Raw<'_>) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.put(raw);
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.delete(key);
        }
    }

    /// Writes down what is new, step by step; waits for ever when nothing is. Cancel safe; polled
    /// only while the list is a good one.
    pub(super) async fn work(&mut self, cursor: Cursor) {
        match &mut self.snapshot {
            Some(snapshot) => snapshot.work(cursor).await,
            None => std::future::pending().await,
        }
    }
}
