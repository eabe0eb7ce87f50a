use std::time::Duration;

/// How [`OutlierDetection`](super::OutlierDetection) behaves (gRFC A50). Without either algorithm it does nothing at
/// all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlierDetectionConfig {
    /// `interval`: how long calls are counted before endpoints are compared, ejected and let
    /// back in: a *sweep*. Default: 10 s; at least 100 ms.
    pub interval: Duration,
    /// `baseEjectionTime`: how long an endpoint is ejected the first time; longer by as much
    /// each time that follows, less again by as much for each sweep that finds it in. Default: 30 s.
    pub base_ejection_time: Duration,
    /// `maxEjectionTime`: how long it is ejected at most. Default: 300 s; at least
    /// `base_ejection_time`.
    pub max_ejection_time: Duration,
    /// `maxEjectionPercent`: no more are ejected once this many percent of all endpoints are. What is
    /// compared is the number before the ejection, so that it may be exceeded by one: 10 % of three endpoints is
    /// one of them. 0 is none (as in Go; C-core ejects one). Default: 10; at most 100.
    pub max_ejection_percent: u32,
    /// `successRateEjection`: ejects who succeeds much more rarely than all others do. Default: not used.
    pub success_rate: Option<SuccessRateEjection>,
    /// `failurePercentageEjection`: ejects who fails often. Default: not used.
    pub failure_percentage: Option<FailurePercentageEjection>,
}

impl Default for OutlierDetectionConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            success_rate: None,
            failure_percentage: None,
        }
    }
}

impl OutlierDetectionConfig {
    /// The least that `interval` can be: each sweep costs a look at every endpoint.
    pub const LEAST_INTERVAL: Duration = Duration::from_millis(100);

    pub(super) const fn compares(&self) -> bool {
        self.success_rate.is_some() || self.failure_percentage.is_some()
    }

    pub(super) fn sweep_interval(&self) -> Duration {
        self.interval.max(Self::LEAST_INTERVAL)
    }

    /// How long the `times`th ejection lasts.
    pub(super) fn ejection_time(&self, times: u32) -> Duration {
        let longest = self.max_ejection_time.max(self.base_ejection_time);
        self.base_ejection_time.saturating_mul(times).min(longest)
    }
}

/// Ejects an endpoint whose share of calls that succeed is less than the mean of all, minus
/// `stdev_factor` / 1000 standard deviations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuccessRateEjection {
    /// `stdevFactor`: in thousandths. Default: 1900.
    pub stdev_factor: u32,
    /// `enforcementPercentage`: how many percent of those that it finds are ejected. Default: 100; at most 100.
    pub enforcement_percentage: u32,
    /// `minimumHosts`: it looks at none while fewer endpoints than this had enough calls. Default: 5.
    pub minimum_hosts: u32,
    /// `requestVolume`: how many calls are enough, within an interval. Default: 100; 0 counts as 1.
    pub request_volume: u32,
}

impl Default for SuccessRateEjection {
    fn default() -> Self {
        Self {
            stdev_factor: 1_900,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 100,
        }
    }
}

/// Ejects an endpoint of whose calls more than `threshold` percent fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailurePercentageEjection {
    /// `threshold`: in percent; as many are still tolerated. Default: 85; at most 100.
    pub threshold: u32,
    /// `enforcementPercentage`: how many percent of those that it finds are ejected. Default: 100 (Go: 0); at most 100.
    pub enforcement_percentage: u32,
    /// `minimumHosts`: it looks at none while fewer endpoints than this had enough calls. Default: 5.
    pub minimum_hosts: u32,
    /// `requestVolume`: how many calls are enough, within an interval. Default: 50; 0 counts as 1.
    pub request_volume: u32,
}

impl Default for FailurePercentageEjection {
    fn default() -> Self {
        Self {
            threshold: 85,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 50,
        }
    }
}
