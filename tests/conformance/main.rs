//! Suite `conformance`: the rules of gRFCs, a file for each; a test is named after its rule.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod a42_ring_hash;
mod a50_outlier_detection;
mod a58_weighted_round_robin;
mod a68_random_subsetting;
mod chosen;
