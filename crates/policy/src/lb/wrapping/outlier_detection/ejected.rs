use std::fmt;
use std::time::Duration;

/// Outlier detection keeps calls from an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("ejected as an outlier for {ejection_time:?}: {reason}")]
#[non_exhaustive]
pub struct Ejected {
    /// For how long; it ends with the first sweep after that.
    pub ejection_time: Duration,
    /// What was found in it.
    pub reason: EjectionReason,
}

/// What an algorithm of outlier detection has found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EjectionReason {
    /// It succeeds much more rarely than others do.
    #[non_exhaustive]
    SuccessRate {
        /// The share of its calls that succeeded, 0 to 1.
        rate: f64,
        /// The least that would have been enough.
        required: f64,
        /// The mean of all endpoints that had enough calls.
        mean: f64,
    },
    /// It fails often.
    #[non_exhaustive]
    FailurePercentage {
        /// The share of its calls that failed, in percent.
        percentage: f64,
        /// The most that would have been tolerated.
        threshold: u32,
    },
}

impl fmt::Display for EjectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SuccessRate {
                rate,
                required,
                mean,
            } => {
                let [rate, required, mean] = [rate, required, mean].map(|share| share * 100.0);
                write!(
                    f,
                    "{rate:.1} % of its calls succeeded, {required:.1} % were required, \
                     the mean of all endpoints is {mean:.1} %"
                )
            }
            Self::FailurePercentage {
                percentage,
                threshold,
            } => write!(
                f,
                "{percentage:.1} % of its calls failed, {threshold} % are tolerated"
            ),
        }
    }
}
