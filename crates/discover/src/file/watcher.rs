use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::Endpoint;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::look::{FileId, Look, Text};
use super::schema::{Format, parse};
use super::{FileConfig, FileError, Item};
use crate::source::now;
use crate::{Change, DiscoverError, EndpointKey, EndpointSet};

/// Reads the file, waits for a change, and reads it again.
pub(super) struct Watcher {
    look: Look,
    config: FileConfig,
    format: Format,
    /// Told of everything that happens in the file's folder.
    changed: Arc<Notify>,
    is_first: bool,
    /// What was read last, of which file.
    last: Option<Arc<[u8]>>,
    file: Option<FileId>,
    set: EndpointSet,
    revision: u64,
    down_since: Option<Instant>,
    told_error: Option<String>,
    told_empty: bool,
}

impl Watcher {
    pub(super) fn new(path: PathBuf, config: FileConfig) -> Self {
        let is_json = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("json"));
        let changed = Arc::<Notify>::default();
        Self {
            look: Look::new(path, Arc::clone(&changed)),
            config,
            format: if is_json { Format::Json } else { Format::Yaml },
            changed,
            is_first: true,
            last: None,
            file: None,
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
            let read;
            (self, read) = self.settled().await;
            let news = match read {
                Ok(Text { text, file }) => {
                    self.file = Some(file);
                    if self.last.as_deref() == Some(&*text) {
                        continue;
                    }
                    let text: Arc<[u8]> = text.into();
                    self.last = Some(Arc::clone(&text));
                    let (format, service) = (self.format, self.config.service.clone());
                    let parsed = move || parse(&text, format, service.as_deref());
                    // A long list takes long.
                    match tokio::task::spawn_blocking(parsed).await {
                        Ok(Ok(list)) => self.listed(list),
                        Ok(Err(error)) => self.failed(error),
                        Err(error) => self.failed(FileError::Read(std::io::Error::other(error))),
                    }
                }
                Err(error) => {
                    (self.last, self.file) = (None, None);
                    self.failed(error)
                }
            };
            if !news.is_empty() {
                return (self, news);
            }
        }
    }

    /// What is in the file. One that is written in place has to be the same for a while: half of a list is a
    /// list too.
    async fn settled(mut self) -> (Self, Result<Text, FileError>) {
        let poll_every = self.config.poll_every;
        let (look, mut read) = self.look.read().await;
        self.look = look;
        // One that never keeps still counts all the same.
        let mut left = poll_every;
        while let Ok(now) = &read
            && self.file == Some(now.file)
            && self.last.as_deref() != Some(&*now.text)
            && !left.is_zero()
        {
            let debounce = self.config.debounce.max(Duration::from_millis(1));
            sleep(debounce).await;
            left = left.saturating_sub(debounce);
            let (look, again) = self.look.read().await;
            self.look = look;
            let is_same = again.as_ref().is_ok_and(|again| again.text == now.text);
            read = again;
            if is_same {
                break;
            }
        }
        (self, read)
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
        format!("file {}", self.look.path().display())
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
