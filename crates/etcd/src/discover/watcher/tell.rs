use std::sync::Arc;

use evenkeel_discover::DiscoverError;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Phase, Watcher};
use crate::EtcdError;
use crate::discover::board::{News, State};

impl Watcher {
    /// What to tell of the entries.
    pub(super) fn changes(&mut self) -> News {
        let changes = self.entries.changes();
        let empty = self.entries.is_empty();
        let state = if empty {
            let name = Arc::clone(self.etcd.name());
            let report = || DiscoverError::empty(name, Arc::clone(&self.service));
            (!self.told_empty).then(|| State::Report(report()))
        } else {
            (!changes.is_empty()).then_some(State::Well)
        };
        self.told_empty = empty;
        News { changes, state }
    }

    /// An attempt has failed: when to try again, and what to tell.
    pub(super) fn failed(&mut self, error: &EtcdError) -> News {
        let now = Instant::now();
        let failed = self.outage.failed(now.into_std(), error.is_refusal());
        self.stats.stale(failed.since);
        let until = now + self.backoff.next(fastrand::f64());
        let due = self.outage.report_due().map(Instant::from_std);
        self.phase = Phase::Wait(due.map_or(until, |due| until.min(due)));
        let (service, etcd) = (&self.service, self.etcd.name());
        if failed.first {
            warn!(%service, %etcd, "discovery is failing, the last endpoints stay: {error}");
        } else {
            debug!(%service, %etcd, "{error}");
        }
        if !failed.report {
            return News::default();
        }
        self.told_empty = false;
        let report = DiscoverError::unavailable(
            Arc::clone(etcd),
            failed.since,
            now.into_std(),
            error.clone(),
        );
        State::Report(report).into()
    }

    /// The list is good and watched.
    pub(super) fn well(&mut self) -> News {
        self.stats.well();
        let Some(since) = self.outage.over() else {
            return News::default();
        };
        let down_for = Instant::now().into_std().saturating_duration_since(since);
        info!(service = %self.service, ?down_for, "discovery works again");
        if self.told_empty {
            return News::default();
        }
        State::Well.into()
    }
}
