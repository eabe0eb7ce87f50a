use std::time::Instant;

use super::Refusal;
use crate::backoff::Backoff;

/// That etcd does not want an entry as it is. Pure.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) since: Instant,
    /// When to try again.
    pub(super) until: Instant,
    /// Whether it is to be asked for alone, so that it spoils no request for others.
    pub(super) alone: bool,
    backoff: Backoff,
}

impl Refused {
    /// The limits of the delays are those of `backoff`.
    pub(super) fn new(now: Instant, backoff: &Backoff) -> Self {
        Self {
            since: now,
            until: now,
            alone: true,
            backoff: backoff.fresh(),
        }
    }

    /// It was refused once more.
    pub(super) fn again(&mut self, refusal: &Refusal<'_>) {
        self.until = refusal.now + self.backoff.next(refusal.random);
        self.alone = refusal.alone;
    }
}
