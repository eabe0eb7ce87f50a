use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_core::Address;

/// How often the peers of one connector put up with keepalive, as they have let it know (gRFC A8).
///
/// A peer that had too many PINGs doubles the time of all later connections, for as long as the
/// connector lives: whoever reconnects at the same pace is thrown out again, calls and all.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    least_millis: AtomicU64,
}

impl Pace {
    /// The time for a new connection, which is `configured` until a peer complains.
    pub(super) fn time(&self, configured: Duration) -> Duration {
        let least = self.least_millis.load(Ordering::Relaxed);
        configured.max(Duration::from_millis(least))
    }

    /// The peer of a connection that asked after `time` had too many PINGs. Connections of the
    /// same time that hear the same count once.
    pub(super) fn too_many_pings(&self, time: Duration, address: &Address) {
        let doubled = time.saturating_mul(2);
        let millis = u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX);
        if self.least_millis.fetch_max(millis, Ordering::Relaxed) < millis {
            tracing::warn!(
                %address, keepalive_time = ?doubled,
                "a server closed a connection for too many keepalive pings, so they are sent half as often"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(60);

    #[test]
    fn each_complaint_about_a_time_doubles_it_once() {
        let address = "10.0.0.1:80".parse().unwrap();
        let pace = Pace::default();
        assert_eq!(pace.time(TIME), TIME);
        for (complaint, after) in [(1, 2), (1, 2), (2, 4), (1, 4), (4, 8)] {
            pace.too_many_pings(complaint * TIME, &address);
            assert_eq!(pace.time(TIME), after * TIME);
        }
        assert_eq!(pace.time(100 * TIME), 100 * TIME, "slow enough as it is");
        pace.too_many_pings(Duration::MAX, &address);
        assert!(pace.time(TIME) > 100 * TIME, "no overflow");
    }
}
