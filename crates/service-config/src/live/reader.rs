use std::sync::atomic::Ordering;

use super::LiveConfig;
use crate::ServiceConfig;

/// Reads a [`LiveConfig`] on the way of each call: while that stays the same, it costs one load of
/// a counter that nobody writes.
///
/// # Clone
///
/// Cheap: a clone reads the same config.
#[derive(Clone, Debug)]
pub struct ConfigReader {
    live: LiveConfig,
    config: ServiceConfig,
    version: u64,
}

impl ConfigReader {
    pub(super) fn new(live: LiveConfig) -> Self {
        let state = live.shared.state.lock();
        let config = state.config.clone();
        let version = live.shared.version.load(Ordering::Relaxed);
        drop(state);
        Self {
            live,
            config,
            version,
        }
    }

    /// The config that is in force.
    #[inline]
    pub fn get(&mut self) -> &ServiceConfig {
        self.refresh();
        &self.config
    }

    /// Whether there has been a change since the last time, for those who keep something that
    /// they have read; [`Self::config`] is the config in force then.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let has_changed = self.live.shared.version.load(Ordering::Acquire) != self.version;
        if has_changed {
            self.read();
        }
        has_changed
    }

    /// The config that was in force when it was last refreshed.
    #[must_use]
    pub const fn config(&self) -> &ServiceConfig {
        &self.config
    }

    #[cold]
    fn read(&mut self) {
        *self = Self::new(self.live.clone());
    }
}
