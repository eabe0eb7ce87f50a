use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that the pickers of one policy draw from, one after the other.
///
/// It outlives the pickers, so that a rebuilt one goes on where the last one stopped instead of
/// giving its first endpoint another call. A cache line of its own: every caller writes here.
#[derive(Debug)]
#[repr(align(128))]
pub(in crate::lb) struct Sequence(AtomicU64);

impl Sequence {
    /// Starts somewhere in the first 2³² numbers, so that the clients of a service do not all
    /// begin at the same endpoint, and the end of the numbers stays out of reach.
    pub(in crate::lb) const fn starting_at(random: u64) -> Self {
        Self(AtomicU64::new(random >> 32))
    }

    pub(in crate::lb) fn draw(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
