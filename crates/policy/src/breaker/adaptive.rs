use std::time::Duration;

use super::Counts;
use super::window::Window;

/// Refuses the more calls the fewer are answered: adaptive throttling of the SRE book (chapter
/// 21), as in Kratos' aegis.
///
/// With *K* = 1 / `success`, a call is refused with the probability
///
/// ```text
/// max(0, (requests − K · accepts) / (requests + 1))
/// ```
///
/// where accepts are the calls of the window that the endpoint has answered, and requests those
/// and the ones that failed or were refused: what is refused makes the next refusal likelier, until
/// only about *K* times as many calls are sent as are answered. It never refuses all of them, so
/// it needs no probes and notices by itself when the endpoint works again.
///
/// It does not open a breaker, and a breaker that is open or half-open does not ask it. An endpoint
/// that sheds stays in the pick set: a call that it refuses is picked elsewhere, and fails only if
/// there is no elsewhere. In a breaker that is held closed it refuses nothing, and neither does it
/// refuse a last resort if [`last_resort`](super::BreakerConfig::last_resort) is set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct AdaptiveConfig {
    /// The part of the calls that is answered when all is well enough: nothing is refused while it
    /// is reached. Default 0.5, that is *K* = 2, the SRE book's; 0.01 to 1.
    pub success: f64,
    /// How many requests there must be in the window before any is refused. Default 20; at least
    /// 1.
    pub minimum_requests: u32,
    /// How far back calls count. Default 10 s; up to a day.
    pub window: Duration,
    /// In how many steps they are forgotten. Default 10; 1 to 128, each of at least 1 ms.
    pub buckets: u32,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            success: 0.5,
            minimum_requests: 20,
            window: Duration::from_secs(10),
            buckets: 10,
        }
    }
}

impl AdaptiveConfig {
    /// What Kratos' aegis does by default: success 0.6, request 100, window 3 s, bucket 10.
    ///
    /// It refuses nothing below 34 calls a second per endpoint, and from 40 % of failures on
    /// more calls than fail.
    pub const AEGIS: Self = Self {
        success: 0.6,
        minimum_requests: 100,
        window: Duration::from_secs(3),
        buckets: 10,
    };

    /// The probability with which a call is refused after `counts`: at least 0, and less than 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody makes 2^53 calls in a window"
    )]
    pub fn share(&self, counts: Counts) -> f64 {
        let requests = counts.requests();
        if requests < u64::from(self.minimum_requests.max(1)) {
            return 0.0;
        }
        let over = requests as f64 - self.k() * counts.successes as f64;
        over.max(0.0) / (requests as f64 + 1.0)
    }

    fn k(&self) -> f64 {
        let success = match self.success {
            success if success.is_nan() => Self::default().success,
            success => success.clamp(0.01, 1.0),
        };
        success.recip()
    }

    pub(super) fn window(&self) -> Window {
        Window::new(self.window, self.buckets)
    }
}
