use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::LatencyConfig;

/// How long attempts take, as [`LatencyConfig`] says. Pickers read it of two endpoints per pick, so
/// it lies where what is in flight does.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Nanoseconds; 0 before the first.
    nanos: AtomicU64,
    /// When it was that, in nanoseconds since an origin.
    at: AtomicU64,
}

/// A latency never grows beyond it.
const LONGEST: u64 = 60_000_000_000;

/// A failure that did not take as long itself never lifts a latency beyond it. Failures double it
/// again and again, and what they made of it is forgotten only little by little.
const LONGEST_OF_FAILURES: u64 = 10_000_000_000;

impl Latency {
    pub(super) fn nanos(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.nanos.load(Ordering::Relaxed))
    }

    /// Two that come at once may overwrite each other; the next one puts that right.
    pub(super) fn record(
        &self,
        now: u64,
        took: Duration,
        is_failure: bool,
        config: &LatencyConfig,
    ) {
        let before = self.nanos().map(NonZeroU64::get);
        let took = match is_failure {
            true => failed(before, nanos(took), config),
            false => nanos(took),
        };
        let latency = match before {
            Some(before) if took <= before => {
                let age = now.saturating_sub(self.at.load(Ordering::Relaxed));
                let decay = config.decay.as_nanos().max(1) as f64;
                let kept = (-(age as f64) / decay).exp();
                (before as f64 * kept + took as f64 * (1.0 - kept)).round() as u64
            }
            // A peak counts at once.
            _ => took,
        };
        self.nanos
            .store(latency.clamp(1, LONGEST), Ordering::Relaxed);
        self.at.store(now, Ordering::Relaxed);
    }
}

/// What a failed attempt counts.
fn failed(before: Option<u64>, took: u64, config: &LatencyConfig) -> u64 {
    let before = before.unwrap_or(took);
    // In floating point whatever the penalty is ends somewhere.
    let slow = (before as f64 * config.failure_penalty.max(1.0)) as u64;
    slow.min(LONGEST_OF_FAILURES)
        .max(nanos(config.failure_floor))
        .max(before)
        .max(took)
}

/// As far as 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
