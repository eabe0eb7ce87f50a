use std::time::Duration;

/// When to try again, so that a thousand processes do not come to an etcd at once that has lost
/// them at once. Pure.
///
/// Each delay is random from nothing up to a window. The window doubles from 0.5 s; and while our
/// lease lives it is at least half of what is left of it, because nobody misses us yet, and never
/// all of it, so that we are back before somebody does.
#[derive(Debug)]
pub(super) struct Schedule {
    max: Duration,
    window: Duration,
}

/// The first window, and the shortest.
const FIRST: Duration = Duration::from_millis(500);

impl Schedule {
    /// Windows of `max` at most.
    pub(super) fn new(max: Duration) -> Self {
        Self {
            max,
            window: FIRST.min(max),
        }
    }

    /// The delay before the next attempt. `lease_left` is the time for which etcd has promised to
    /// keep our keys, 0 when it has not; `random` is uniform in `0.0..1.0`.
    pub(super) fn next(&mut self, lease_left: Duration, random: f64) -> Duration {
        let window = match lease_left.is_zero() {
            true => self.window,
            false => {
                let latest = lease_left.mul_f64(0.9).max(FIRST);
                self.window.max(lease_left / 2).min(latest)
            }
        };
        self.window = self.window.saturating_mul(2).min(self.max);
        window.min(self.max).mul_f64(random.clamp(0.0, 1.0))
    }

    /// How long somebody waits at most who has just asked for something.
    pub(super) fn soon(&self, random: f64) -> Duration {
        FIRST.min(self.max).mul_f64(random.clamp(0.0, 1.0))
    }

    /// It has worked.
    pub(super) fn reset(&mut self) {
        self.window = FIRST.min(self.max);
    }
}

#[cfg(test)]
mod tests;
