use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use evenkeel_core::Waiter;

use super::LiveConfig;
use crate::{ConfigError, ServiceConfig};

/// Waits for changes of a [`LiveConfig`].
pub struct ConfigChanges {
    live: LiveConfig,
    waiter: Waiter,
    seen: u64,
}

impl ConfigChanges {
    pub(super) fn new(live: LiveConfig) -> Self {
        let mut state = live.shared.state.lock();
        let waiter = state.waiters.enter();
        let seen = live.shared.version.load(Ordering::Relaxed);
        drop(state);
        Self { live, waiter, seen }
    }

    /// The config in force after the next change; those in between may be skipped.
    ///
    /// Cancel safe: the next one to wait gets the change.
    ///
    /// # Errors
    ///
    /// [`LiveConfig::failure`]: there is no config to go by.
    pub async fn changed(&mut self) -> Result<ServiceConfig, ConfigError> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// As [`Self::changed`], for futures written by hand.
    pub fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<Result<ServiceConfig, ConfigError>> {
        let shared = &self.live.shared;
        let mut state = shared.state.lock();
        let version = shared.version.load(Ordering::Relaxed);
        if version == self.seen {
            state.waiters.wait(&self.waiter, cx);
            return Poll::Pending;
        }
        self.seen = version;
        Poll::Ready(match state.failure() {
            Some(failure) => Err(failure),
            None => Ok(state.config.clone()),
        })
    }
}

impl Drop for ConfigChanges {
    fn drop(&mut self) {
        self.live.shared.state.lock().waiters.leave(&self.waiter);
    }
}

impl fmt::Debug for ConfigChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigChanges")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
