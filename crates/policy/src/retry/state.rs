use std::time::{Duration, Instant};

use evenkeel_core::Progress;
use tonic::Code;

use super::{Pushback, RetryPolicy, Transparent};
use crate::throttle::Throttle;

/// One call's way through its retries.
#[derive(Clone, Debug)]
pub struct RetryState {
    policy: Option<RetryPolicy>,
    deadline: Option<Instant>,
    /// Attempts that count: all but the transparent ones.
    attempts: u32,
    /// Delays since the start or since the last pushback.
    delays: u32,
    transparent: Transparent,
    committed: bool,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Its status.
    pub code: Code,
    /// How far it got.
    pub progress: Progress,
    /// What the server said about trying again.
    pub pushback: Pushback,
    /// Whether this side decided that it fails and shall not be tried again: the call's own
    /// deadline, an open breaker, a dropping picker, a request that could not be read.
    pub is_final: bool,
}

impl Failure {
    /// The server's word, or the loss of the connection after the request was sent.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            progress: Progress::Sent,
            pushback: Pushback::None,
            is_final: false,
        }
    }
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must handle every answer"
)]
pub enum RetryDecision {
    /// Start the next attempt after this delay.
    Retry(Duration),
    /// Start the same attempt again, at once: no server has seen it.
    Transparent,
    /// The call has failed.
    Stop(Stop),
}

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// Its deadline has passed.
    Deadline,
    /// This side decided that the failure is final.
    Final,
    /// The request can not be sent again.
    Committed,
    /// No retry policy is configured for its method.
    NoPolicy,
    /// Its policy does not list the code.
    Code,
    /// The server asked not to be tried again.
    Pushback,
    /// The channel has failed too often lately.
    Throttled,
    /// Its policy allows no further attempt.
    Attempts,
}

impl Stop {
    /// The reason, for texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "the deadline has passed",
            Self::Final => "the failure is final",
            Self::Committed => "the request can not be sent again",
            Self::NoPolicy => "no retry policy",
            Self::Code => "the code is not retried",
            Self::Pushback => "the server asked not to retry",
            Self::Throttled => "retries are throttled",
            Self::Attempts => "no attempts left",
        }
    }
}

impl RetryState {
    /// A call that has not been tried; without a `policy`, only what no server has seen is tried
    /// again.
    #[must_use]
    pub fn new(policy: Option<RetryPolicy>, deadline: Option<Instant>) -> Self {
        Self {
            policy,
            deadline,
            attempts: 1,
            delays: 0,
            transparent: Transparent::default(),
            committed: false,
        }
    }

    /// The number of the running attempt; 1 for the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempts
    }

    /// When the call must have ended.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// No further attempt may start, whatever happens.
    pub const fn commit(&mut self) {
        self.committed = true;
    }

    /// Whether no further attempt may start.
    #[must_use]
    pub const fn is_committed(&self) -> bool {
        self.committed
    }

    /// Decides what comes after `failure`. `throttle` is what the channel's calls share;
    /// `random` is uniform over all of `u64`.
    pub fn on_failure(
        &mut self,
        now: Instant,
        failure: &Failure,
        throttle: Option<&Throttle>,
        random: u64,
    ) -> RetryDecision {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return RetryDecision::Stop(Stop::Deadline);
        }
        if failure.is_final {
            return RetryDecision::Stop(Stop::Final);
        }
        if self.committed {
            return RetryDecision::Stop(Stop::Committed);
        }
        if self.transparent.allows(failure.progress) {
            return RetryDecision::Transparent;
        }
        match self.next_delay(failure, throttle, random) {
            Ok(delay) => {
                self.attempts += 1;
                RetryDecision::Retry(delay)
            }
            Err(stop) => RetryDecision::Stop(stop),
        }
    }

    fn next_delay(
        &mut self,
        failure: &Failure,
        throttle: Option<&Throttle>,
        random: u64,
    ) -> Result<Duration, Stop> {
        let policy = self.policy.as_ref().ok_or(Stop::NoPolicy)?;
        let listed = policy.retryable_codes.contains(failure.code);
        let pushed_back = failure.pushback == Pushback::Stop;
        // Before the attempts are counted: the last failure costs a token, too.
        let throttled = (listed || pushed_back)
            && throttle.is_some_and(|throttle| {
                throttle.on_failure();
                !throttle.allows_retry()
            });
        if !listed {
            return Err(Stop::Code);
        }
        if pushed_back {
            return Err(Stop::Pushback);
        }
        if throttled {
            return Err(Stop::Throttled);
        }
        if self.attempts >= policy.max_attempts {
            return Err(Stop::Attempts);
        }
        if let Pushback::After(delay) = failure.pushback {
            self.delays = 0;
            return Ok(delay);
        }
        self.delays += 1;
        Ok(policy.jittered_backoff(self.delays, random))
    }
}
