use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};
use std::task::Context;
use std::time::Duration;

use evenkeel_discover::DiscoverError;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::board::{Board, View};
use super::watcher::Watcher;
use super::{DiscoverStats, Item};
use crate::Etcd;

/// The discoveries that go on over one [`Etcd`], by the service's name.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<Arc<str>, Weak<Share>>>);

impl Shares {
    pub(crate) fn stats(&self, service: &str) -> Option<Arc<DiscoverStats>> {
        let share = self.0.lock().get(name(service)).and_then(Weak::upgrade)?;
        Some(Arc::clone(&share.stats))
    }
}

/// What a service is known by: what its name may end in makes no difference to its keys.
fn name(service: &str) -> &str {
    service.trim_end_matches('/')
}

/// One list and one watch, for all who follow the same service. The last one who lets go ends it.
pub(super) struct Share {
    etcd: Etcd,
    pub(super) service: Arc<str>,
    pub(super) stats: Arc<DiscoverStats>,
    board: Arc<Mutex<Board>>,
    /// Outlives the task that drives it, so that another one can go on.
    watcher: Arc<tokio::sync::Mutex<Watcher>>,
    /// The task that drives it, and perhaps one that is about to end.
    tasks: Mutex<JoinSet<()>>,
}

impl Share {
    /// The one that goes on for `service`, or a new one, which nobody drives yet.
    pub(super) fn of(etcd: Etcd, service: &str) -> Arc<Self> {
        let service = name(service);
        let mut shares = etcd.shares().0.lock();
        if let Some(share) = shares.get(service).and_then(Weak::upgrade) {
            return share;
        }
        let service: Arc<str> = service.into();
        let stats = Arc::new(DiscoverStats::default());
        let watcher = Watcher::new(etcd.clone(), &service, Arc::clone(&stats));
        let share = Arc::new(Self {
            etcd: etcd.clone(),
            service: Arc::clone(&service),
            stats,
            board: Arc::default(),
            watcher: Arc::new(tokio::sync::Mutex::new(watcher)),
            tasks: Mutex::default(),
        });
        shares.insert(service, Arc::downgrade(&share));
        share
    }

    pub(super) fn enter(&self) -> View {
        self.board.lock().enter()
    }

    pub(super) fn leave(&self, view: &View) {
        self.board.lock().leave(view);
    }

    /// What is new to `view`; when that is nothing, it is woken when there is something. Sees to
    /// it that somebody drives this.
    ///
    /// # Errors
    ///
    /// When there is nobody to do that.
    pub(super) fn take(&self, view: &mut View, cx: &Context<'_>) -> Result<Vec<Item>, NoRuntime> {
        let (items, driven) = {
            let mut board = self.board.lock();
            let items = view.catch_up(&board);
            if items.is_empty() {
                board.wait(view, cx);
            }
            (items, board.driven)
        };
        if !driven {
            self.drive()?;
        }
        Ok(items)
    }

    pub(super) fn unavailable(&self, error: NoRuntime) -> DiscoverError {
        let now = Instant::now().into_std();
        DiscoverError::unavailable(Arc::clone(self.etcd.name()), now, now, error)
    }

    fn drive(&self) -> Result<(), NoRuntime> {
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                resume_unwind(error.into_panic());
            }
        }
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        if std::mem::replace(&mut self.board.lock().driven, true) {
            return Ok(());
        }
        let driver = Driver {
            board: Arc::clone(&self.board),
            coalesce: self.etcd.config().coalesce,
            told_at: None,
            untold: false,
        };
        let watcher = Arc::clone(&self.watcher);
        let drive = async move {
            // Dropped last, so that the watcher is free for whoever is woken.
            let mut driver = driver;
            match driver.drive(&mut *watcher.lock().await).await {}
        };
        tasks.spawn_on(drive, &runtime);
        Ok(())
    }
}

/// Nobody can drive a discovery here.
#[derive(Debug, thiserror::Error)]
#[error("it is not polled within a Tokio runtime")]
pub(super) struct NoRuntime;

/// A task's hold on the board. When it ends although the discovery goes on, because its runtime
/// was shut down, another follower's runtime takes over.
struct Driver {
    board: Arc<Mutex<Board>>,
    /// The least time between two tellings.
    coalesce: Duration,
    told_at: Option<Instant>,
    /// Whether there is news that nobody was woken for.
    untold: bool,
}

impl Driver {
    /// Brings the news to the board: the first at once, what follows soon after it together.
    async fn drive(&mut self, watcher: &mut Watcher) -> Infallible {
        loop {
            let next = watcher.next();
            tokio::pin!(next);
            let news = loop {
                let due = self.due();
                tokio::select! {
                    news = &mut next => break news,
                    () = sleep_until(due), if self.untold => self.tell(),
                }
            };
            self.board.lock().publish(news);
            self.untold = true;
            if self.due() <= Instant::now() {
                self.tell();
            }
        }
    }

    fn due(&self) -> Instant {
        let told_at = self.told_at.map(|told_at| told_at + self.coalesce);
        told_at.unwrap_or_else(Instant::now)
    }

    fn tell(&mut self) {
        self.told_at = Some(Instant::now());
        self.untold = false;
        let waiting = self.board.lock().waiting();
        waiting.wake();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let waiting = self.board.lock().abandon();
        waiting.wake();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.etcd.shares().0.lock();
        // There may be a new one by now.
        if shares
            .get(&self.service)
            .is_some_and(|share| share.strong_count() == 0)
        {
            shares.remove(&self.service);
        }
    }
}
