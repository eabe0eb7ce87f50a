//! Counts the heap allocations of one thread.
//!
//! A binary that has this module (feature `alloc`) runs on a global allocator that counts; the
//! counting itself is the crate `allocation-counter`'s, since it needs `unsafe`.
//!
//! ```
//! # use std::hint::black_box;
//! let counted = evenkeel_testkit::alloc::during(|| drop(black_box(Box::new(7))));
//! assert_eq!(counted.count_total, 1);
//! ```

pub use allocation_counter::AllocationInfo;

/// What this thread allocates while `run` runs; a reallocation counts as one more.
///
/// For a future, `run` blocks on a current-thread runtime that was warmed up before: everything
/// the future and its tasks allocate is then counted, and nothing that servers of this crate do,
/// since they have their own threads.
pub fn during(run: impl FnOnce()) -> AllocationInfo {
    allocation_counter::measure(run)
}
