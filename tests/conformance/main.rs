//! Suite `conformance`: the rules of gRFCs, a file for each; a test is named after its rule.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod a105_connection_scaling;
mod a113_pick_first;
mod a17_health;
mod a21_service_config;
mod a24_lb_config;
mod a2_service_config_choices;
mod a42_ring_hash;
mod a48_least_request;
mod a50_outlier_detection;
mod a58_weighted_round_robin;
mod a61_pick_first;
mod a62_pick_first;
mod a68_random_subsetting;
mod a6_hedging;
mod a6_retries;
mod a6_throttling;
mod a6_transparent_retries;
mod a76_ring_hash;
mod chosen;
mod errors_page;
mod ring;
mod servers;
mod watched;
