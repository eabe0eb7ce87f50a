//! What a call through Evenkeel costs its process, beside what users would pick instead.
//!
//! `cargo bench` runs three programs: `layers` times Evenkeel's layers over an endpoint that does
//! nothing, `allocations` counts what they allocate, and `end_to_end` compares whole channels over
//! real servers. They print Markdown tables.
//!
//! # Not here
//!
//! Whether it works: `tests/`.

pub mod cell;
pub mod contender;
pub mod endpoint;
pub mod load;
pub mod results;
pub mod server;
pub mod stacks;
pub mod stats;

pub use evenkeel_bench_harness::{alloc, cpu};
