use std::sync::Arc;

use evenkeel_core::{Connectivity, LoadStream};
use futures_util::future::AbortHandle;

use crate::snapshot::Slot;

/// One endpoint, while discovery has it.
pub(super) struct Known<S: Connectivity> {
    pub(super) slot: Arc<Slot<S>>,
    pub(super) watch: AbortHandle,
    pub(super) takes_calls: bool,
    /// Its place in the views, if it is there.
    pub(super) shown: Option<usize>,
}

impl<S: Connectivity> Known<S> {
    pub(super) fn stream_load(&self, wanted: Option<&LoadStream>) {
        self.slot.service.stream_load(wanted, &self.slot.stats);
    }

    pub(super) fn check_health(&self, service: Option<&Arc<str>>) {
        self.slot.service.check_health(service);
    }
}

impl<S: Connectivity> Drop for Known<S> {
    fn drop(&mut self) {
        self.watch.abort();
        // Its running calls may keep it for long.
        self.stream_load(None);
        self.check_health(None);
    }
}
