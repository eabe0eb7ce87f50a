use std::time::Instant;

use crate::backoff::Backoff;

/// That etcd does not want an entry as it is. Pure.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) since: Instant,
    /// When to try again.
    pub(super) until: Instant,
    backoff: Backoff,
}

impl Refused {
    /// The limits of the delays are those of `backoff`.
    pub(super) fn new(now: Instant, backoff: &Backoff) -> Self {
        Self {
            since: now,
            until: now,
            backoff: backoff.fresh(),
        }
    }

    /// It was refused at `now`; `random` as in [`Backoff::next`].
    pub(super) fn again(&mut self, now: Instant, random: f64) {
        self.until = now + self.backoff.next(random);
    }
}
