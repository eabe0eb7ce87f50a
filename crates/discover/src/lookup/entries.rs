use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::follow::Known;
use super::{CacheConfig, Shared};

#[derive(Default)]
pub(super) struct Entries {
    pub(super) services: HashMap<Arc<str>, Entry>,
    pub(super) next_id: u64,
}

/// A service that is watched.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) known: watch::Receiver<Known>,
    pub(super) used: Instant,
    pub(super) task: Arc<JoinSet<()>>,
}

impl Entry {
    pub(super) fn looked(&self) -> Looked {
        Looked {
            known: self.known.clone(),
            _task: Arc::clone(&self.task),
        }
    }

    /// When nobody will have asked for it for so long that its watch may end. Those who wait for its
    /// first answer use it.
    pub(super) fn idle_at(&self, config: &CacheConfig) -> Instant {
        let is_waited_for = !self.known.borrow().has_answered();
        let waits = if is_waited_for {
            config.timeout.saturating_add(Duration::from_secs(1))
        } else {
            Duration::ZERO
        };
        self.used + config.ttl.max(waits).min(FAR)
    }
}

/// What is known of a service. Its task lives as long as its entry, and as somebody waits for it.
pub(super) struct Looked {
    pub(super) known: watch::Receiver<Known>,
    _task: Arc<JoinSet<()>>,
}

/// Longer than anything lives, and no problem for clocks.
pub(super) const FAR: Duration = Duration::from_secs(86_400 * 365);

impl Shared {
    /// When nobody will have asked for the service for so long that its watch may end; nothing when the
    /// entry is another one.
    pub(super) fn idle_at(&self, service: &str, id: u64) -> Option<Instant> {
        let entries = self.entries.lock();
        let entry = entries.services.get(service)?;
        (entry.id == id).then(|| entry.idle_at(&self.config))
    }

    /// Ends the watch if nobody has asked in the meantime; gives whether it has ended.
    pub(super) fn expire(&self, service: &str, id: u64, now: Instant) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.services.get(service) else {
            return true;
        };
        if entry.id == id && now < entry.idle_at(&self.config) {
            return false;
        }
        if entry.id == id {
            let gone = entries.services.remove(service);
            self.stats.expired();
            drop(entries);
            drop(gone);
        }
        true
    }
}
