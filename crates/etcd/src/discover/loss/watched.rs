use std::time::{Duration, Instant};

/// A clock that stands still while nobody watches etcd: what it does not say then proves nothing.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// How long it has stood still in all.
    stood: Duration,
    /// Since when it stands still now.
    since: Option<Instant>,
}

impl Watched {
    pub(super) fn set(&mut self, watched: bool, now: Instant) {
        if !watched {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take() {
            self.stood += now.saturating_duration_since(since);
        }
    }

    /// What it says when other clocks say `now`.
    pub(super) fn time(&self, now: Instant) -> Instant {
        let now = self.since.map_or(now, |since| since.min(now));
        now.checked_sub(self.stood).unwrap_or(now)
    }

    /// What other clocks say when it says `time`, if it does not stop until then.
    pub(super) fn clock(&self, time: Instant) -> Instant {
        time.checked_add(self.stood).unwrap_or(time)
    }
}
