use std::time::Duration;

/// How often an endpoint is probed, and what takes it out and brings it back. Values out of bounds
/// are brought into them when they are used.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_policy::probe::ProbeConfig;
///
/// let config = ProbeConfig { interval: Duration::from_secs(2), ..Default::default() };
/// assert_eq!((config.failures, config.successes), (3, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct ProbeConfig {
    /// From the start of one probe to the start of the next, before jitter; one that takes longer
    /// is not joined by another. Default 10 s; at least 10 ms.
    pub interval: Duration,
    /// Random share added to or taken from the interval, so that clients do not probe together.
    /// Default 0.2, that is ±20 %; 0 to 1.
    pub jitter: f64,
    /// How long a probe may take; then it has failed. Default 1 s; at least 1 ms.
    pub timeout: Duration,
    /// How many probes have to fail in a row to take the endpoint out. Default 3; at least 1.
    pub failures: u32,
    /// How many have to succeed in a row to bring it back. Default 1; at least 1.
    pub successes: u32,
    /// Whether an endpoint that is out takes calls when the LB policy has nothing else left, as
    /// with a breaker's. Default false: it takes none.
    pub last_resort: bool,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            jitter: 0.2,
            timeout: Duration::from_secs(1),
            failures: 3,
            successes: 1,
            last_resort: false,
        }
    }
}

impl ProbeConfig {
    pub(super) fn interval(&self) -> Duration {
        // As much as a duration times a factor can be.
        let most = Duration::from_secs(u64::from(u32::MAX));
        self.interval.clamp(Duration::from_millis(10), most)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.max(Duration::from_millis(1))
    }

    /// With jitter.
    pub(super) fn next_interval(&self, random: f64) -> Duration {
        let jitter = if self.jitter.is_finite() {
            self.jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let swing = jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        self.interval().mul_f64(1.0 + swing)
    }
}
