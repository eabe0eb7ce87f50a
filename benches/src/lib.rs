//! What a call through Evenkeel costs its process, beside what users would pick instead.
//!
//! [`compare`] runs whole channels, each in a process of its own; the benches `layers` and
//! `allocations` look at Evenkeel's layers over endpoints that do nothing.
//!
//! # Not here
//!
//! Whether it works: `tests/`.

pub mod cell;
pub mod compare;
#[cfg(feature = "layers")]
pub mod endpoint;
pub mod report;
pub mod results;
#[cfg(feature = "layers")]
pub mod stacks;
pub mod stats;

pub use evenkeel_bench_harness::{alloc, cpu};
