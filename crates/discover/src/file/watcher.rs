use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::Endpoint;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::schema::{Format, parse};
use super::{FileConfig, FileError, Item};
use crate::source::now;
use crate::{Change, DiscoverError, EndpointKey, EndpointSet};

/// Reads the file, waits for a change, and reads it again.
pub(super) struct Watcher {
    path: PathBuf,
    config: FileConfig,
    format: Format,
    /// Told of everything that happens in the file's folder.
    changed: Arc<Notify>,
    /// While the folder is watched.
    watch: Option<RecommendedWatcher>,
    is_first: bool,
    /// What was read last.
    last: Option<Vec<u8>>,
    set: EndpointSet,
    revision: u64,
    down_since: Option<Instant>,
    told_error: Option<String>,
    told_empty: bool,
}

/// Far more than any list of endpoints has.
const LONGEST: u64 = 64 << 20;

impl Watcher {
    pub(super) fn new(path: PathBuf, config: FileConfig) -> Self {
        let is_json = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("json"));
        Self {
            path,
            config,
            format: if is_json { Format::Json } else { Format::Yaml },
            changed: Arc::default(),
            watch: None,
            is_first: true,
            last: None,
            set: EndpointSet::new(),
            revision: 0,
            down_since: None,
            told_error: None,
            told_empty: false,
        }
    }

    /// Works until there is something to tell.
    pub(super) async fn next(mut self) -> (Self, Vec<Item>) {
        loop {
            if !std::mem::take(&mut self.is_first) {
                self.wait().await;
            }
            // Watched before it is read, so that no change is missed.
            self.watch();
            let news = match read(&self.path).await {
                Ok(text) => {
                    if self.last.as_ref() == Some(&text) {
                        continue;
                    }
                    let list = parse(&text, self.format, self.config.service.as_deref());
                    self.last = Some(text);
                    match list {
                        Ok(list) => self.listed(list),
                        Err(error) => self.failed(error),
                    }
                }
                Err(error) => {
                    self.last = None;
                    // Its folder may be another one when it comes back.
                    self.watch = None;
                    self.failed(error)
                }
            };
            if !news.is_empty() {
                return (self, news);
            }
        }
    }

    /// Until the folder has changed and is quiet again, or it is time to look in any case.
    async fn wait(&self) {
        let poll_every = self.config.poll_every.max(Duration::from_millis(10));
        if timeout(poll_every, self.changed.notified()).await.is_err() {
            return;
        }
        // A folder that is never quiet is looked at all the same.
        let quiet = async {
            while timeout(self.config.debounce, self.changed.notified())
                .await
                .is_ok()
            {}
        };
        tokio::select! {
            () = quiet => {}
            () = sleep(poll_every) => {}
        }
    }

    /// Watches the folder, if it is there: a file that is replaced is another one, and so is what
    /// a link leads to.
    fn watch(&mut self) {
        if self.watch.is_some() {
            return;
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let changed = Arc::clone(&self.changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // To read the file is an event too.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                changed.notify_one();
            }
        });
        // Without it, the file is looked at from time to time.
        self.watch = watcher.ok().and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
            Some(watcher)
        });
    }

    fn listed(&mut self, list: Vec<Endpoint>) -> Vec<Item> {
        let was_down = self.down_since.take().is_some();
        self.told_error = None;
        let is_empty = list.is_empty();
        let revision = &mut self.revision;
        self.set
            .replace(keyed(list).into_iter().map(|(key, endpoint)| {
                *revision += 1;
                (key, endpoint, *revision)
            }));
        let mut changes = self.set.changes();
        if changes.is_empty() && was_down {
            // Told once more as it is, because nothing else says that the file is well again.
            let told = self.set.told().next();
            changes
                .extend(told.map(|(key, endpoint)| Change::Insert(key.clone(), endpoint.clone())));
        }
        let mut news: Vec<Item> = changes.into_iter().map(Ok).collect();
        if is_empty && (was_down || !self.told_empty) {
            let service = self.config.service.as_deref().unwrap_or_default();
            news.push(Err(DiscoverError::empty(self.name(), service)));
        }
        self.told_empty = is_empty;
        news
    }

    fn failed(&mut self, error: FileError) -> Vec<Item> {
        let now = now();
        let since = *self.down_since.get_or_insert(now);
        let text = evenkeel_core::error::chain(&error);
        if self.told_error.as_ref() == Some(&text) {
            return Vec::new();
        }
        self.told_error = Some(text);
        let report = DiscoverError::unavailable(self.name(), since, now, error);
        vec![Err(report)]
    }

    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let path = path.to_owned();
    // The file may be on a network; a read that hangs there holds up no other task.
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(FileError::Read)?;
        let mut file = file.take(LONGEST + 1);
        file.read_to_end(&mut text).map_err(FileError::Read)?;
        if text.len() as u64 > LONGEST {
            return Err(FileError::TooLong { limit: LONGEST });
        }
        Ok(text)
    });
    match read.await {
        Ok(read) => read,
        Err(error) => Err(FileError::Read(std::io::Error::other(error))),
    }
}

/// The key of each is its first address; servers that share only that one get a number.
fn keyed(list: Vec<Endpoint>) -> Vec<(EndpointKey, Endpoint)> {
    let mut known = HashMap::<String, Endpoint>::new();
    let keyed = list.into_iter().enumerate().map(|(index, endpoint)| {
        let name = endpoint.to_string();
        let other = known
            .entry(name.clone())
            .or_insert_with(|| endpoint.clone());
        if other.reaches_the_same_server_as(&endpoint) {
            (name.into(), endpoint)
        } else {
            (format!("{name}#{index}").into(), endpoint)
        }
    });
    keyed.collect()
}
