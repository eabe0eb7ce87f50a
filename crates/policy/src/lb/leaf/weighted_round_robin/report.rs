use std::collections::HashMap;

use evenkeel_core::ReadLoad;
use prost::Message;

/// Makes weights of ORCA load reports (gRFC A58, A114).
#[derive(Debug)]
pub(super) struct ReportReader {
    metrics: Vec<Metric>,
    error_utilization_penalty: f64,
}

/// Where `metricNamesForComputingUtilization` finds a utilization.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Metric {
    Application,
    Cpu,
    Memory,
    Named(String),
    Utilization(String),
}

impl Metric {
    /// `None` is no metric that gRFC A114 knows.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "application_utilization" => return Some(Self::Application),
            "cpu_utilization" => return Some(Self::Cpu),
            "mem_utilization" => return Some(Self::Memory),
            _ => {}
        }
        // At the first dot: what comes after it may have more.
        match name.split_once('.')? {
            ("named_metrics", key) => Some(Self::Named(key.to_owned())),
            ("utilization", key) => Some(Self::Utilization(key.to_owned())),
            _ => None,
        }
    }

    const fn is_in_a_map(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Utilization(_))
    }

    fn value(&self, report: &Report, maps: &Maps) -> f64 {
        let of = |map: &HashMap<String, f64>, key| map.get(key).copied().unwrap_or_default();
        match self {
            Self::Application => report.application_utilization,
            Self::Cpu => report.cpu_utilization,
            Self::Memory => report.mem_utilization,
            Self::Named(key) => of(&maps.named_metrics, key),
            Self::Utilization(key) => of(&maps.utilization, key),
        }
    }
}

/// Whether a name in `metricNamesForComputingUtilization` can be that of a metric.
pub(super) fn is_metric(name: &str) -> bool {
    Metric::parse(name).is_some()
}

/// Of `xds.data.orca.v3.OrcaLoadReport` what makes a weight. The maps are not among it: they cost
/// allocations, and few configs ask for them.
#[derive(Clone, PartialEq, Message)]
struct Report {
    #[prost(double, tag = "1")]
    cpu_utilization: f64,
    #[prost(double, tag = "2")]
    mem_utilization: f64,
    #[prost(double, tag = "6")]
    rps_fractional: f64,
    #[prost(double, tag = "7")]
    eps: f64,
    #[prost(double, tag = "9")]
    application_utilization: f64,
}

/// The maps of the same message.
#[derive(Clone, PartialEq, Message)]
struct Maps {
    #[prost(map = "string, double", tag = "5")]
    utilization: HashMap<String, f64>,
    #[prost(map = "string, double", tag = "8")]
    named_metrics: HashMap<String, f64>,
}

impl ReportReader {
    pub(super) fn new(metric_names: &[String], error_utilization_penalty: f64) -> Self {
        Self {
            metrics: metric_names
                .iter()
                .filter_map(|name| Metric::parse(name))
                .collect(),
            error_utilization_penalty,
        }
    }

    fn utilization(&self, report: &Report, maps: &Maps) -> Option<f64> {
        let given = |value: &f64| *value > 0.0;
        let metrics = self.metrics.iter().map(|metric| metric.value(report, maps));
        metrics
            .filter(given)
            .reduce(f64::max)
            .or_else(|| Some(report.application_utilization).filter(given))
            .or_else(|| Some(report.cpu_utilization).filter(given))
    }
}

impl ReadLoad for ReportReader {
    fn weight(&self, encoded: &[u8]) -> Option<f64> {
        let report = Report::decode(encoded).ok()?;
        let maps = if self.metrics.iter().any(Metric::is_in_a_map) {
            Maps::decode(encoded).ok()?
        } else {
            Maps::default()
        };
        let utilization = self.utilization(&report, &maps)?;
        let qps = Some(report.rps_fractional).filter(|qps| *qps > 0.0)?;
        let penalty = if report.eps > 0.0 && self.error_utilization_penalty > 0.0 {
            report.eps / qps * self.error_utilization_penalty
        } else {
            0.0
        };
        let weight = qps / (utilization + penalty);
        // Infinite rates make none, and neither do numbers at the ends of what there is.
        Some(weight).filter(|weight| weight.is_normal())
    }
}

#[cfg(test)]
mod tests;
