//! Suite `faults`: calls survive. Servers restart, die, fall silent, refuse, or have too much to do,
//! calls end at any moment, and etcd comes and goes; each call is counted on both sides, by its id.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cancel;
mod dead;
mod dials;
mod etcd;
mod failover;
mod hung;
mod ledger;
mod overload;
mod queued;
mod refused;
mod restarts;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// For all methods of the service: up to 4 attempts with hardly a delay, after these codes.
fn retrying(codes: &str) -> String {
    format!(
        r#""retryPolicy": {{"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.01s",
            "backoffMultiplier": 2, "retryableStatusCodes": [{codes}]}}"#
    )
}
