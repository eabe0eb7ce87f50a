use std::time::Duration;

/// Delays that double up to a limit, each shortened by up to half at random.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        let initial = initial.min(max);
        Self {
            initial,
            max,
            next: initial,
        }
    }

    /// The next delay; `random` is uniform in `0.0..1.0`.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.max);
        delay.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }

    /// One with the same limits that begins now.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.initial, self.max)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_limit_and_start_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        let delays: Vec<_> = (0..4).map(|_| backoff.next(0.0)).collect();
        assert_eq!(delays, [ms(100), ms(200), ms(350), ms(350)]);
        assert_eq!(backoff.next(1.0), ms(175), "half of it is random");
        backoff.reset();
        assert_eq!(backoff.next(0.0), ms(100));
        assert_eq!(Backoff::new(ms(500), ms(100)).next(0.0), ms(100));
    }
}
