use std::time::Duration;

use super::Counts;
use super::window::Window;

/// Trips a breaker when too large a part of the calls in a sliding window has failed.
///
/// Calls that say nothing are not in it, and neither are probes. It begins anew when the breaker
/// closes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct FailureRatioConfig {
    /// Trips when at least this part of the calls has failed. Default 0.5; 0.01 to 1.
    pub ratio: f64,
    /// And there were at least as many. Default 20; at least 1.
    pub minimum_calls: u32,
    /// How far back calls count. Default 10 s; up to a day.
    pub window: Duration,
    /// In how many steps they are forgotten: the window is between one bucket less and its full
    /// length. Default 10; 1 to 128, each of at least 1 ms.
    pub buckets: u32,
}

impl Default for FailureRatioConfig {
    fn default() -> Self {
        Self {
            ratio: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(10),
            buckets: 10,
        }
    }
}

impl FailureRatioConfig {
    /// Whether `counts` trip the breaker.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody makes 2^53 calls in a window"
    )]
    pub fn trips(&self, counts: Counts) -> bool {
        let ratio = match self.ratio {
            ratio if ratio.is_nan() => Self::default().ratio,
            ratio => ratio.clamp(0.01, 1.0),
        };
        // Divided, not multiplied: 11 of 20 are what 0.55 says, which rounding must not change.
        counts.calls() >= u64::from(self.minimum_calls.max(1))
            && counts.failures as f64 / counts.calls() as f64 >= ratio
    }

    pub(super) fn window(&self) -> Window {
        Window::new(self.window, self.buckets)
    }
}
