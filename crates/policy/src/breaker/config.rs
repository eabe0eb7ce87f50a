use std::time::Duration;

use evenkeel_core::{CodeSet, Outcome};
use tonic::Code;

use super::{AdaptiveConfig, FailureRatioConfig, Verdict};

/// When a breaker trips and how it comes back. Values out of bounds are brought into them when
/// they are used.
///
/// Three rules may be combined: `consecutive_failures` and `failure_ratio` open it, whichever
/// does first; `adaptive` refuses a share of the calls while it is closed. A constructor each has
/// one rule alone.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_policy::breaker::{AdaptiveConfig, BreakerConfig};
///
/// let config = BreakerConfig { open_time: Duration::from_secs(1), ..Default::default() };
/// assert_eq!(config.consecutive_failures, 5);
///
/// // Opens at once when nothing works, and sheds while a part of it fails.
/// let both = BreakerConfig {
///     adaptive: Some(AdaptiveConfig::AEGIS),
///     ..BreakerConfig::consecutive(10)
/// };
/// # let _ = both;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct BreakerConfig {
    /// Trips after as many failures without a success between them. Default 5; 0 is never.
    pub consecutive_failures: u32,
    /// Trips when too large a part of the calls of the last time has failed. Default: never.
    pub failure_ratio: Option<FailureRatioConfig>,
    /// Refuses a share of the calls as long as too few are answered, without opening. Default:
    /// none.
    pub adaptive: Option<AdaptiveConfig>,
    /// How long it stays open after its first trip, before jitter; doubled each time a probe
    /// fails. Also how long a probe may run before another one may start beside it, and one that
    /// was answered counts as a success. Default 5 s; at least 1 ms.
    pub open_time: Duration,
    /// Upper bound of the open time, before jitter. Default 60 s; at least `open_time`.
    pub max_open_time: Duration,
    /// Random share added to or taken from the open time, so that clients do not probe together.
    /// Default 0.2, that is ±20 %; 0 to 1.
    pub jitter: f64,
    /// How many probes may run at a time. Default 1; at least 1.
    pub probes: u32,
    /// How many probes must succeed to close it. Default 1; at least 1.
    pub probes_to_close: u32,
    /// The codes that are failures. Default UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN,
    /// DATA_LOSS and RESOURCE_EXHAUSTED. Any other is an answer of a server that works, except
    /// CANCELLED, which counts neither way.
    pub failures: CodeSet,
    /// Whether calls pass it while it is open, when the LB policy has nothing else left: all
    /// other endpoints are held back as well. Such calls count for nothing here, and one that was
    /// opened by hand refuses them too. Default false:
    /// an open breaker refuses, also when all are open. True is for fleets in which a few answers
    /// are better than none; `evenkeel.panic_threshold` says what "nothing else" is.
    pub last_resort: bool,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: None,
            adaptive: None,
            open_time: Duration::from_secs(5),
            max_open_time: Duration::from_secs(60),
            jitter: 0.2,
            probes: 1,
            probes_to_close: 1,
            failures: CodeSet::SERVER_FAILURES,
            last_resort: false,
        }
    }
}

impl BreakerConfig {
    /// Trips after as many failures without a success between them, and for nothing else.
    #[must_use]
    pub fn consecutive(failures: u32) -> Self {
        Self {
            consecutive_failures: failures,
            ..Self::default()
        }
    }

    /// Trips when at least `ratio` of the calls of the last 10 s has failed, of at least 20; for
    /// nothing else.
    #[must_use]
    pub fn ratio(ratio: f64) -> Self {
        Self {
            consecutive_failures: 0,
            failure_ratio: Some(FailureRatioConfig {
                ratio,
                ..FailureRatioConfig::default()
            }),
            ..Self::default()
        }
    }

    /// Never opens, and refuses the more calls the fewer are answered, as the SRE book has it:
    /// [`AdaptiveConfig::default`].
    #[must_use]
    pub fn adaptive() -> Self {
        Self {
            consecutive_failures: 0,
            adaptive: Some(AdaptiveConfig::default()),
            ..Self::default()
        }
    }

    /// The same with the numbers of Kratos' aegis: [`AdaptiveConfig::AEGIS`].
    #[must_use]
    pub fn aegis() -> Self {
        Self {
            adaptive: Some(AdaptiveConfig::AEGIS),
            ..Self::adaptive()
        }
    }

    /// A breaker that never trips: nothing counts as a failure.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            consecutive_failures: 0,
            failures: CodeSet::default(),
            ..Self::default()
        }
    }

    /// What `outcome` says of the endpoint.
    #[must_use]
    pub const fn verdict(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Success => Verdict::Success,
            Outcome::Abandoned => Verdict::Nothing,
            Outcome::Failure(code) if self.failures.contains(code) => Verdict::Failure,
            Outcome::Failure(Code::Cancelled) => Verdict::Nothing,
            Outcome::Failure(_) => Verdict::Success,
        }
    }

    /// The open time after `failed_probes` probes have failed in a row.
    pub(super) fn open_time(&self, failed_probes: u32, random: u64) -> Duration {
        let first = self.first_open_time();
        let factor = 1_u32.checked_shl(failed_probes).unwrap_or(u32::MAX);
        let grown = first.saturating_mul(factor);
        let capped = grown.min(self.max_open_time.max(first));
        let jitter = if self.jitter.is_finite() {
            self.jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let factor = 1.0 + jitter * (2.0 * fraction(random) - 1.0);
        Duration::try_from_secs_f64(capped.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }

    pub(super) fn first_open_time(&self) -> Duration {
        self.open_time.max(Duration::from_millis(1))
    }
}

/// From 0 to 1, without 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn fraction(random: u64) -> f64 {
    // 53 bits are what an f64 holds exactly.
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
