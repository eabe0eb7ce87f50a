//! Suite `e2e`: whole channels under the generated client, against real servers and a real etcd.
//!
//! Servers run on threads of their own, so a test's runtime holds nothing but the client.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod breaker;
mod calls;
mod churn;
mod deadline;
mod drop;
mod endpoints;
mod errors;
mod etcd;
mod failover;
mod goaway;
mod health;
mod hedging;
mod live;
mod load;
mod oob;
mod policies;
mod probe;
mod retry;
mod scaling;

use evenkeel_tests::{
    Client, addresses, all_ready, builder, call, calls, channel, config, list, quick, served_by,
    servers, shares, since, state_of, until,
};

/// The service config of the demo and its course, unchanged.
const COURSE: &str = r#"{"loadBalancingConfig":[{"custom_weighted_round_robin":{}}],
  "methodConfig":[{"name":[{"service":"UserService"}],
    "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s","backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#;
