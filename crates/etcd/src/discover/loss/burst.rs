use std::time::{Duration, Instant};

/// Deletions that follow each other closely. An etcd that revokes many leases takes its time: what
/// counts is how far the list has shrunk since that began.
#[derive(Debug, Default)]
pub(super) struct Burst {
    last: Option<Instant>,
    /// The longest list there was meanwhile, without those whose loss is settled.
    of: usize,
}

impl Burst {
    /// Some go now. Gives whether that is the same burst as the last time.
    pub(super) fn goes_on(&mut self, window: Duration, now: Instant) -> bool {
        let last = self.last.replace(now);
        let goes_on = last.is_some_and(|last| now.saturating_duration_since(last) <= window);
        if !goes_on {
            self.of = 0;
        }
        goes_on
    }

    /// One of those that went will not be taken back any more: the list was without it.
    pub(super) fn settled(&mut self) {
        self.of = self.of.saturating_sub(1);
    }

    /// So many were there until now.
    pub(super) fn had(&mut self, size: usize) {
        self.of = self.of.max(size);
    }

    /// Whether etcd has lost its list when `lost` are missing and `left` are there. Servers that came
    /// meanwhile count as left, so that those that are replaced one by one are no loss, and so
    /// are, by the first condition, those of which most have said goodbye.
    pub(super) fn is_loss(&self, lost: usize, left: usize) -> bool {
        lost > left && left * 2 < self.of && (lost >= 2 || left == 0)
    }
}
