mod file;
mod stored;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::cursor::Cursor;
use super::entries::Raw;
pub(super) use stored::{Keys, Stored};

/// Writes are at least so far apart.
const BETWEEN_WRITES: Duration = Duration::from_secs(1);
/// After a write that failed, the next one is that far away.
const AFTER_A_FAILURE: Duration = Duration::from_secs(60);

/// The last good list in a file, for a client that starts while etcd is down.
#[derive(Debug)]
pub(super) struct Snapshot {
    path: PathBuf,
    prefix: String,
    /// What the file is to have. Shared with the write that is under way.
    keys: Arc<Keys>,
    dirty: bool,
    write_at: Instant,
    writing: JoinSet<io::Result<()>>,
    /// That it cannot be written was said.
    warned: bool,
}

impl Snapshot {
    /// The file for `prefix` in `folder`. Touches neither.
    pub(super) fn new(folder: &Path, prefix: &str) -> Self {
        Self {
            path: folder.join(file::name(prefix)),
            prefix: prefix.to_owned(),
            keys: Arc::default(),
            dirty: false,
            write_at: Instant::now(),
            writing: JoinSet::new(),
            warned: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file has; none when there is no file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is damaged, of another prefix, or of a later format.
    pub(super) async fn read(&self) -> io::Result<Option<Stored>> {
        let (path, prefix) = (self.path.clone(), self.prefix.clone());
        let mut reading = JoinSet::new();
        reading.spawn_blocking(move || match file::read(&path)? {
            Some(text) => Stored::parse(&text, &prefix).map(Some),
            None => Ok(None),
        });
        reading.join_next().await.unwrap_or(Ok(Ok(None)))?
    }

    /// etcd has exactly these.
    pub(super) fn replace<'a>(&mut self, list: impl Iterator<Item = Raw<'a>>) {
        let list = list.map(|raw| (raw.key.to_owned(), (raw.value.to_owned(), raw.revision)));
        self.keys = Arc::new(BTreeMap::from_iter(list));
        // Though it may be what the file has: it is good as of now.
        self.dirty = true;
    }

    pub(super) fn put(&mut self, raw: Raw<'_>) {
        let value = (raw.value.to_owned(), raw.revision);
        Arc::make_mut(&mut self.keys).insert(raw.key.to_owned(), value);
        self.dirty = true;
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        Arc::make_mut(&mut self.keys).remove(key);
        self.dirty = true;
    }

    /// Does what is to be done next: writes the list as it is at `cursor`, or sees how that went.
    /// Cancel safe; polled only while the list is a good one.
    pub(super) async fn work(&mut self, cursor: Cursor) {
        if let Some(written) = self.writing.join_next().await {
            let written = written.unwrap_or_else(|error| Err(error.into()));
            self.written(written);
            return;
        }
        if !self.dirty || self.keys.is_empty() {
            return std::future::pending().await;
        }
        sleep_until(self.write_at).await;
        self.dirty = false;
        self.write_at = Instant::now() + BETWEEN_WRITES;
        let stored = Stored {
            cursor,
            age: Duration::ZERO,
            keys: Arc::clone(&self.keys),
        };
        let (path, prefix) = (self.path.clone(), self.prefix.clone());
        self.writing
            .spawn_blocking(move || file::write(&path, &stored.text(&prefix)));
    }

    fn written(&mut self, written: io::Result<()>) {
        let file = self.path.display();
        match written {
            Ok(()) => {
                debug!(%file, keys = self.keys.len(), "the list was written");
                self.warned = false;
            }
            Err(error) => {
                self.dirty = true;
                self.write_at = Instant::now() + AFTER_A_FAILURE;
                if !std::mem::replace(&mut self.warned, true) {
                    warn!(%file, "the list cannot be written, a start without etcd will miss it: {error}");
                }
            }
        }
    }
}
