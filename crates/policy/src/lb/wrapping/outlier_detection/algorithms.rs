use super::{EjectionReason, FailurePercentageEjection, SuccessRateEjection};

/// The calls of one endpoint that ended within an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

impl Bucket {
    const fn calls(self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    fn success_rate(self) -> f64 {
        self.succeeded as f64 / self.calls() as f64
    }
}

/// An endpoint that an algorithm found, by its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlier {
    pub(super) place: usize,
    pub(super) reason: EjectionReason,
}

/// The endpoints that succeed much more rarely than the others, the worst first.
pub(super) fn success_rate(config: &SuccessRateEjection, buckets: &[Bucket]) -> Vec<Outlier> {
    /// More than rounding makes of rates that are equal, and less than any that are not.
    const ROUNDING: f64 = 1e-9;
    let Some(candidates) = candidates(buckets, config.request_volume, config.minimum_hosts) else {
        return Vec::new();
    };
    let rates: Vec<_> = candidates
        .iter()
        .map(|place| buckets[*place].success_rate())
        .collect();
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    let required = mean - variance.sqrt() * f64::from(config.stdev_factor) / 1_000.0;
    let mut outliers: Vec<_> = candidates
        .into_iter()
        .zip(rates)
        .filter(|(_, rate)| rate + ROUNDING < required)
        .collect();
    outliers.sort_by(|one, other| one.1.total_cmp(&other.1));
    let outlier = |(place, rate)| Outlier {
        place,
        reason: EjectionReason::SuccessRate {
            rate,
            required,
            mean,
        },
    };
    outliers.into_iter().map(outlier).collect()
}

/// The endpoints that fail more often than is tolerated, the worst first.
pub(super) fn failure_percentage(
    config: &FailurePercentageEjection,
    buckets: &[Bucket],
) -> Vec<Outlier> {
    let threshold = config.threshold.min(100);
    let Some(mut candidates) = candidates(buckets, config.request_volume, config.minimum_hosts)
    else {
        return Vec::new();
    };
    candidates.retain(|place| {
        let bucket = buckets[*place];
        u128::from(bucket.failed) * 100 > u128::from(bucket.calls()) * u128::from(threshold)
    });
    let rate = |place: &usize| buckets[*place].success_rate();
    candidates.sort_by(|one, other| rate(one).total_cmp(&rate(other)));
    let outlier = |place| {
        let bucket: Bucket = buckets[place];
        Outlier {
            place,
            reason: EjectionReason::FailurePercentage {
                percentage: bucket.failed as f64 / bucket.calls() as f64 * 100.0,
                threshold,
            },
        }
    };
    candidates.into_iter().map(outlier).collect()
}

/// The places with enough calls, if there are enough of them.
fn candidates(buckets: &[Bucket], request_volume: u32, minimum_hosts: u32) -> Option<Vec<usize>> {
    let enough = u64::from(request_volume.max(1));
    let candidates: Vec<_> = (0..buckets.len())
        .filter(|place| buckets[*place].calls() >= enough)
        .collect();
    (candidates.len() >= minimum_hosts as usize && !candidates.is_empty()).then_some(candidates)
}

#[cfg(test)]
mod tests;
