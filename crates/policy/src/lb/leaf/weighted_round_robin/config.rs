use std::time::Duration;

use super::report;

/// How [`WeightedRoundRobin`](super::WeightedRoundRobin) behaves; builds it. Names and defaults are
/// those of gRFC A58.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeightedRoundRobinConfig {
    /// `enableOobLoadReport` and `oobReportingPeriod`: how often servers are to report out of band
    /// (gRFC A51), instead of with their responses. Default: `None`, with their responses; 10 s when only
    /// the first is given. Servers may have a least interval, by default 30 s.
    pub oob: Option<Duration>,
    /// `blackoutPeriod`: for how long the reports of an endpoint that has become READY are not
    /// believed; counted from the first. Default: 10 s; zero believes the first.
    pub blackout_period: Duration,
    /// `weightExpirationPeriod`: when a report is too old to count. Default: 180 s.
    pub weight_expiration_period: Duration,
    /// `weightUpdatePeriod`: how often weights are read. Default: 1 s; at least 100 ms.
    pub weight_update_period: Duration,
    /// `errorUtilizationPenalty`: what a share of failed calls counts as in utilization: with 1 a server
    /// of which each tenth call fails weighs as if it were used 10 % more. Default: 1; not negative.
    pub error_utilization_penalty: f64,
    /// `metricNamesForComputingUtilization` (gRFC A114): the largest of these counts as the utilization, if any
    /// is reported; else the application's, else the CPU's. `application_utilization`,
    /// `cpu_utilization`, `mem_utilization`, `named_metrics.<key>` or `utilization.<key>`; others
    /// are ignored. Default: none.
    pub metric_names_for_computing_utilization: Vec<String>,
}

impl Default for WeightedRoundRobinConfig {
    fn default() -> Self {
        Self {
            oob: None,
            blackout_period: Duration::from_secs(10),
            weight_expiration_period: Duration::from_secs(180),
            weight_update_period: Duration::from_secs(1),
            error_utilization_penalty: 1.0,
            metric_names_for_computing_utilization: Vec::new(),
        }
    }
}

impl WeightedRoundRobinConfig {
    /// The least that `weightUpdatePeriod` can be.
    pub const LEAST_WEIGHT_UPDATE_PERIOD: Duration = Duration::from_millis(100);

    /// Whether `metricNamesForComputingUtilization` can name this metric.
    #[must_use]
    pub fn is_metric(name: &str) -> bool {
        report::is_metric(name)
    }

    pub(super) fn bounded(mut self) -> Self {
        let least = Self::LEAST_WEIGHT_UPDATE_PERIOD;
        self.weight_update_period = self.weight_update_period.max(least);
        self
    }
}
