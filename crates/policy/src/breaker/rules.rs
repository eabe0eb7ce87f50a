use super::BreakerConfig;

/// The trip rules of a closed breaker: each sees each verdict, any of them may trip it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    consecutive: Consecutive,
}

impl Rules {
    pub(super) fn on_success(&mut self) {
        self.consecutive = Consecutive::default();
    }

    /// Whether this failure trips the breaker.
    pub(super) fn on_failure(&mut self, config: &BreakerConfig) -> bool {
        self.consecutive.on_failure(config.consecutive_failures)
    }

    /// Whether a success would change nothing.
    pub(super) const fn ignore_successes(&self) -> bool {
        self.consecutive.failures == 0
    }

    /// What has led here, for texts.
    pub(super) fn explain(&self) -> String {
        match self.consecutive.failures {
            1 => "1 failure".to_owned(),
            failures => format!("{failures} consecutive failures"),
        }
    }
}

/// Failures without a success between them.
#[derive(Clone, Debug, Default)]
struct Consecutive {
    failures: u32,
}

impl Consecutive {
    fn on_failure(&mut self, limit: u32) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= limit.max(1)
    }
}
