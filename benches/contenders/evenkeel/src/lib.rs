//! What the programs with Evenkeel have in common.

use evenkeel::{Channel, ChannelBuilder, ConnectivityState};
use evenkeel_bench_harness::Options;

/// Everything that is on at once: a deadline, a retry policy, round robin; the breaker is on
/// without being asked.
pub const EVERYTHING: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{
        "name": [{"service": "UserService"}],
        "timeout": "1s",
        "retryPolicy": {
            "maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.1s",
            "backoffMultiplier": 2.0, "retryableStatusCodes": ["UNAVAILABLE"]
        }
    }]
}"#;

/// Nothing but round robin.
pub const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// A channel to the endpoints, otherwise as it comes.
pub fn builder(options: &Options) -> ChannelBuilder {
    let addresses: Vec<_> = options.endpoints.iter().map(ToString::to_string).collect();
    Channel::builder(format!("static:///{}", addresses.join(","))).authority("user-service")
}

/// Waits until `count` endpoints are READY.
pub async fn ready(channel: &Channel, count: usize) {
    loop {
        let changed = channel.changed();
        let endpoints = channel.endpoints();
        let ready = endpoints
            .iter()
            .filter(|endpoint| endpoint.state == ConnectivityState::Ready);
        if ready.count() == count {
            return;
        }
        changed.await;
    }
}
