use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tracing::warn;

use super::FileError;

/// Watches the file's folder and reads the file; all of it may hang, if they are on a network.
pub(super) struct Look {
    path: PathBuf,
    /// Told of everything that happens in the folder.
    changed: Arc<Notify>,
    watch: Option<Watch>,
    /// It was told that the folder cannot be watched.
    warned: bool,
}

struct Watch {
    folder: FileId,
    /// The folder was moved or removed.
    lost: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

/// What was read.
pub(super) struct Text {
    pub(super) text: Vec<u8>,
    /// Of which file: one that is replaced is another one.
    pub(super) file: FileId,
}

/// Device and inode, where there are such.
pub(super) type FileId = (u64, u64);

/// Far more than any list of endpoints has.
const LONGEST: u64 = 64 << 20;

impl Look {
    pub(super) fn new(path: PathBuf, changed: Arc<Notify>) -> Self {
        Self {
            path,
            changed,
            watch: None,
            warned: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Without holding up other tasks.
    pub(super) async fn read(self) -> (Self, Result<Text, FileError>) {
        let again = Self::new(self.path.clone(), Arc::clone(&self.changed));
        let read = tokio::task::spawn_blocking(move || {
            let mut this = self;
            // Watched before it is read, so that no change is missed.
            this.watch();
            let read = this.text();
            if read.is_err() {
                // Its folder may be another one when it comes back.
                this.watch = None;
            }
            (this, read)
        });
        match read.await {
            Ok(read) => read,
            Err(error) => (again, Err(FileError::Read(std::io::Error::other(error)))),
        }
    }

    /// Watches the folder, if it is there: a file that is replaced is another one, and so is what
    /// a link leads to.
    fn watch(&mut self) {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let id = match std::fs::metadata(folder) {
            Ok(metadata) => id(&metadata),
            Err(_) => {
                self.watch = None;
                return;
            }
        };
        let is_it = |watch: &Watch| watch.folder == id && !watch.lost.load(Ordering::Acquire);
        if self.watch.as_ref().is_some_and(is_it) {
            return;
        }
        self.watch = None;
        match watch(folder, id, Arc::clone(&self.changed)) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) if !std::mem::replace(&mut self.warned, true) => {
                let path = self.path.display();
                warn!(%path, %error, "the file's folder cannot be watched: it is read from time to time");
            }
            Err(_) => {}
        }
    }

    fn text(&self) -> Result<Text, FileError> {
        let file = File::open(&self.path).map_err(FileError::Read)?;
        let metadata = file.metadata().map_err(FileError::Read)?;
        let mut text = Vec::new();
        let mut file = file.take(LONGEST + 1);
        file.read_to_end(&mut text).map_err(FileError::Read)?;
        if text.len() as u64 > LONGEST {
            return Err(FileError::TooLong { limit: LONGEST });
        }
        let file = id(&metadata);
        Ok(Text { text, file })
    }
}

fn watch(folder: &Path, id: FileId, changed: Arc<Notify>) -> notify::Result<Watch> {
    let lost = Arc::new(AtomicBool::new(false));
    let (path, flag) = (folder.to_owned(), Arc::clone(&lost));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if let Ok(event) = &event {
            // To read the file is an event too.
            if event.kind.is_access() {
                return;
            }
            use notify::event::ModifyKind::Name;
            let goes = matches!(
                event.kind,
                EventKind::Remove(_) | EventKind::Modify(Name(_))
            );
            if goes && event.paths.contains(&path) {
                flag.store(true, Ordering::Release);
            }
        }
        changed.notify_one();
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(Watch {
        folder: id,
        lost,
        _watcher: watcher,
    })
}

#[cfg(unix)]
fn id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;

    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn id(_: &Metadata) -> FileId {
    (0, 0)
}
