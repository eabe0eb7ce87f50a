use std::time::{Duration, Instant};

/// Longer than any process lives, and short enough for every clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// The time `delay` after `now`, for delays that a config may have made of any length.
pub(crate) fn after(now: Instant, delay: Duration) -> Instant {
    now + delay.min(FAR)
}
