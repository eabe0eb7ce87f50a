use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

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
    /// The sum of `seen`, once those who change it are done.
    total: AtomicU64,
    turn: AtomicUsize,
}

/// Endpoints looked at in one go, and picks per go.
const BLOCK: usize = 8;

impl Loads {
    pub(super) fn new(endpoints: &[EndpointView]) -> Self {
        let counts: Vec<u32> = endpoints.iter().map(|one| one.stats.in_flight()).collect();
        Self {
            stats: endpoints.iter().map(|one| one.stats.clone()).collect(),
            total: AtomicU64::new(counts.iter().copied().map(u64::from).sum()),
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
        self.total.load(Ordering::Relaxed)
    }

    #[cold]
    fn look(&self) {
        let blocks = self.seen.len().div_ceil(BLOCK);
        let block = self.turn.fetch_add(1, Ordering::Relaxed) % blocks;
        let first = block * BLOCK;
        let end = self.seen.len().min(first + BLOCK);
        let (mut more, mut less) = (0_u64, 0_u64);
        for place in first..end {
            let now = self.of(place);
            let before = self.seen[place].swap(now, Ordering::Relaxed);
            more += u64::from(now.saturating_sub(before));
            less += u64::from(before.saturating_sub(now));
        }
        // Added before it is taken away: whoever reads in between sees too many, never below 0.
        if more != less {
            self.total.fetch_add(more, Ordering::Relaxed);
            self.total.fetch_sub(less, Ordering::Relaxed);
        }
    }
}
