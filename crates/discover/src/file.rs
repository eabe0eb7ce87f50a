mod look;
mod schema;
mod watcher;

pub use schema::FileError;

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::{Change, DiscoverError};
use watcher::Watcher;

type Item = Result<Change, DiscoverError>;

/// How [`FileDiscover`] reads its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Which of the file's `services` to read. Default none: its `endpoints`.
    pub service: Option<String>,
    /// How long the file's folder has to be quiet after a change before it is read, and a file that is
    /// written in place has to stay the same before it counts. Default 50 ms; more than `poll_every` counts as that.
    pub debounce: Duration,
    /// How often the file is read although no change was seen: for network file systems, and files that
    /// are links into other folders. Default 10 s; at least 10 ms.
    pub poll_every: Duration,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            service: None,
            debounce: Duration::from_millis(50),
            poll_every: Duration::from_secs(10),
        }
    }
}

/// The endpoints in a YAML or JSON file, read again when it changes.
///
/// ```yaml
/// endpoints:
///   - 10.0.0.5:8090                       # an address is enough
///   - address: 10.0.0.6:8090              # or `addresses`, when several reach the server
///     authority: users.internal           # instead of the channel's
///     weight: 10
///     version: v2
///     zone: eu-1
///     region: eu
///     status: up                          # or draining, or down
///     tags: [gpu]
///     other: {rack: "7"}
/// ```
///
/// A file for several services has lists like this by their names under `services` instead, and
/// [`FileConfig::service`] says which one to read.
///
/// - A file that is replaced (renamed over, or a link that changes, as in a Kubernetes ConfigMap) and one that
///   is written in place are both noticed. Half of a list may be a list too: whoever writes in place, and
///   pauses for longer than [`FileConfig::debounce`], is believed in the middle.
/// - A file that is not there, that cannot be read or understood, is [`DiscoverError::Unavailable`]; the
///   text says what is wrong and where. The last good list stays.
/// - A file with an empty list is believed: everybody goes, and it is [`DiscoverError::Empty`].
/// - Names that mean nothing are errors, so that a typing error does not go unnoticed.
///
/// It runs while it is polled, within a Tokio runtime. Dropping it ends all it runs.
///
/// ```
/// use evenkeel_discover::{Change, FileConfig, FileDiscover};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("endpoints.yaml");
/// std::fs::write(&path, "endpoints: [10.0.0.5:8090]")?;
/// let mut endpoints = FileDiscover::watch(&path, FileConfig::default());
/// let Some(Ok(Change::Insert(key, _))) = endpoints.next().await else { panic!() };
/// assert_eq!(key.as_str(), "10.0.0.5:8090");
/// # Ok(())
/// # }
/// ```
pub struct FileDiscover {
    path: PathBuf,
    pending: VecDeque<Item>,
    next: Pin<Box<dyn Future<Output = (Watcher, Vec<Item>)> + Send>>,
}

impl FileDiscover {
    /// The endpoints in the file at `path`, which need not be there yet. It is JSON if it is called
    /// `.json`, and else YAML, of which JSON is a part.
    #[must_use]
    pub fn watch(path: impl Into<PathBuf>, config: FileConfig) -> Self {
        let path = path.into();
        let watcher = Watcher::new(path.clone(), config);
        Self {
            path,
            pending: VecDeque::new(),
            next: Box::pin(watcher.next()),
        }
    }
}

impl Stream for FileDiscover {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            let (watcher, news) = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(watcher.next());
            self.pending.extend(news);
        }
    }
}

impl fmt::Debug for FileDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDiscover")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
