use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use evenkeel_core::{EndpointStats, EndpointView};

/// The calls in flight of each endpoint, and of all.
///
/// The endpoints count their own. A sum that every call adds to and takes from would be a cache
/// line that all callers write twice per call; a sum made anew would cost a pick as much as there
/// are endpoints. So the sum is of what was seen last of each, and one pick in eight looks at the
/// next eight of them: it lags behind by about as many picks as there are endpoints.
#[derive(Debug)]
pub(super) struct Loads {
    stats: Box<[Arc<EndpointStats>]>,
    seen: Box<[AtomicU32]>,
    /// The sum of `seen`, once those who change it are done; until then it may be less than 0.
    total: AtomicI64,
    turn: AtomicUsize,
}

/// Endpoints looked at in one go, and picks per go.
const BLOCK: usize = 8;

impl Loads {
    pub(super) fn new(endpoints: &[EndpointView]) -> Self {
        let counts: Vec<u32> = endpoints.iter().map(|one| one.stats.in_flight()).collect();
        Self {
            stats: endpoints.iter().map(|one| one.stats.clone()).collect(),
            total: AtomicI64::new(counts.iter().copied().map(i64::from).sum()),
            seen: counts.into_iter().map(AtomicU32::new).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn of(&self, place: usize) -> u32 {
        self.stats[place].in_flight()
    }

    /// Of all endpoints; `random` is that of the pick.
    pub(super) fn total(&self, random: u64) -> u64 {
        if random.is_multiple_of(BLOCK as u64) {
            self.look();
        }
        self.total.load(Ordering::Relaxed).max(0).cast_unsigned()
    }

    #[cold]
    fn look(&self) {
        let blocks = self.seen.len().div_ceil(BLOCK);
        let block = self.turn.fetch_add(1, Ordering::Relaxed) % blocks;
        let first = block * BLOCK;
        let end = self.seen.len().min(first + BLOCK);
        self.add(self.see(first..end));
    }

    /// How many calls more these endpoints have than they had when they were seen last.
    fn see(&self, places: Range<usize>) -> i64 {
        let mut change = 0;
        for place in places {
            let now = self.of(place);
            let before = self.seen[place].swap(now, Ordering::Relaxed);
            change += i64::from(now) - i64::from(before);
        }
        change
    }

    /// Two who look at the same block may add their changes in another order than they saw them.
    fn add(&self, change: i64) {
        if change != 0 {
            self.total.fetch_add(change, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::ConnectivityState::Ready;
    use evenkeel_core::Outcome;

    use super::*;
    use crate::script::Script;

    #[test]
    fn the_sum_is_never_less_than_0_in_whatever_order_changes_come() {
        let script = Script::new(&[Ready]);
        let loads = Loads::new(&script.endpoints);
        let stats = &script.endpoints[0].stats;
        stats.begin();
        let more = loads.see(0..1);
        stats.end(Outcome::Success);
        let less = loads.see(0..1);
        loads.add(less);
        assert_eq!(loads.total(1), 0);
        loads.add(more);
        assert_eq!(loads.total(1), 0);
    }

    #[test]
    fn the_sum_is_never_far_off_while_many_look_at_once() {
        let script = Script::new(&[Ready; 3]);
        let loads = Loads::new(&script.endpoints);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (stats, loads) = (&script.endpoints[thread % 3].stats, &loads);
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        stats.begin();
                        assert!(loads.total(0) <= 100);
                        stats.end(Outcome::Success);
                        assert!(loads.total(0) <= 100);
                    }
                });
            }
        });
        assert_eq!(loads.total(0), 0);
    }
}
