//! The servers of the benches: one that answers with prepared frames, and one of tonic's.

pub mod answer;
pub mod canned;
