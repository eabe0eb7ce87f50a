//! Failover settings as other frameworks have them, as a retry policy and a breaker.
//!
//! # Not here
//!
//! Going elsewhere: every retry avoids the endpoints that its call has tried, whatever it is
//! configured by.

use std::time::Duration;

use evenkeel_policy::breaker::BreakerConfig;
use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use evenkeel_policy::throttle::ThrottleConfig;
use tonic::Code;

use crate::{FallbackRetry, MethodName};

/// When a call goes on to another endpoint, and when an endpoint is left alone for a while: the
/// failover settings of fyer-rpc and its like, for those who come from there. The defaults are those of
/// the example in fyer-rpc's README; its code has others.
///
/// | field | becomes | differs |
/// |---|---|---|
/// | [`max_attempts`](Self::max_attempts) | `maxAttempts` of a retry policy | – |
/// | [`retry_interval`](Self::retry_interval) | its `initialBackoff` and `maxBackoff`, with a multiplier of 1 | each delay is 0.8 to 1.2 times that (gRFC A6), or what the server asks for |
/// | [`retryable_errors`](Self::retryable_errors) | its `retryableStatusCodes` | classes, not parts of texts: see [`ErrorClass`] |
/// | [`failure_threshold`](Self::failure_threshold) | [`consecutive_failures`](BreakerConfig::consecutive_failures) of each endpoint's breaker | errors that are answers are no failures; what a breaker refuses is not one either |
/// | [`success_threshold`](Self::success_threshold) | its [`probes_to_close`](BreakerConfig::probes_to_close) | probes go one at a time |
/// | [`reset_interval`](Self::reset_interval) | its [`open_time`](BreakerConfig::open_time) and [`max_open_time`](BreakerConfig::max_open_time) | ±20 %, so that clients do not probe together |
///
/// What has no place here: a strategy for the next endpoint (that is the LB policy's business),
/// a time per attempt (a deadline is for the whole call, its retries included), a connection
/// timeout (the connector's), and how a recovered endpoint is let back in (`evenkeel.slow_start`).
/// [`except`](Self::except) and [`throttle`](Self::throttle) have no counterpart there.
///
/// Retries are for calls that may be made twice. This policy is for every method which the service
/// config has no `retryPolicy` and no `hedgingPolicy` for. Say there what is different, and in
/// [`except`](Self::except) which methods must not be called twice.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_resilience::FailoverConfig;
///
/// let failover = FailoverConfig {
///     reset_interval: Duration::from_secs(30),
///     except: vec!["user.UserService/Create".parse()?],
///     ..FailoverConfig::default()
/// };
/// assert_eq!(failover.breaker().consecutive_failures, 5);
/// assert_eq!(failover.retry_policy().unwrap().max_attempts, 3);
/// # Ok::<(), evenkeel_resilience::InvalidMethodName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct FailoverConfig {
    /// Attempts of a call in all, the first included. Default 3; less than 2 is no failover. The
    /// cap of 5 that a service config has does not count here.
    pub max_attempts: u32,
    /// Time between two attempts, before jitter. Default 100 ms; at least 1 ms.
    pub retry_interval: Duration,
    /// What is tried again. Default: refused connections and timeouts.
    pub retryable_errors: Vec<ErrorClass>,
    /// After as many failures in a row an endpoint gets no calls. Default 5; 0 is never.
    pub failure_threshold: u32,
    /// After as many successful probes it gets calls again. Default 2; at least 1.
    pub success_threshold: u32,
    /// How long it gets none before it is probed. Default 1 min; at least 1 ms.
    pub reset_interval: Duration,
    /// Methods and services whose calls are not to be made twice: none of them is tried again that
    /// a server may have seen. Default none. What the service config has for them is followed.
    pub except: Vec<MethodName>,
    /// How failures stop the retries of the channel (gRFC A6), unless the service config has a
    /// `retryThrottling`, which replaces it. Default: 100 tokens of which a failed attempt takes one and
    /// a call that succeeds gives back 0.1, so that in the long run one call in ten is tried again. `None`:
    /// an outage is multiplied by [`max_attempts`](Self::max_attempts).
    pub throttle: Option<ThrottleConfig>,
}

/// A kind of errors, as failover settings name them: `connection refused`, `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// UNAVAILABLE: the server cannot be reached, or the connection was lost.
    ///
    /// One that refuses connections is not even picked while there is another, and a call that never
    /// left goes elsewhere without any policy. So this is for calls whose connection was lost after
    /// they were sent, and for calls that find no endpoint at all.
    ConnectionRefused,
    /// DEADLINE_EXCEEDED, as a server says it. A call whose own deadline has passed is over: there
    /// is no time left for another attempt.
    Timeout,
    /// UNAVAILABLE, as a server says it.
    ServiceUnavailable,
    /// RESOURCE_EXHAUSTED: another server may have more left.
    Overloaded,
    /// Any other code; OK is none.
    Code(Code),
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            retry_interval: Duration::from_millis(100),
            retryable_errors: vec![ErrorClass::ConnectionRefused, ErrorClass::Timeout],
            failure_threshold: 5,
            success_threshold: 2,
            reset_interval: Duration::from_secs(60),
            except: Vec::new(),
            throttle: Some(ThrottleConfig::new(100_000, 100)),
        }
    }
}

impl FailoverConfig {
    const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

    /// The policy of retries; `None` if there are none.
    #[must_use]
    pub fn retry_policy(&self) -> Option<RetryPolicy> {
        let codes = self.retryable_codes();
        if self.max_attempts < 2 || codes.is_empty() {
            return None;
        }
        let interval = self.retry_interval.max(Self::SHORTEST_INTERVAL);
        let policy = RetryPolicy::new(self.max_attempts, interval, interval, 1.0, codes);
        Some(policy)
    }

    /// That policy, with the methods that it is not for, and its throttle.
    #[must_use]
    pub fn fallback_retry(&self) -> Option<FallbackRetry> {
        Some(FallbackRetry {
            policy: self.retry_policy()?,
            except: self.except.clone(),
            throttle: self.throttle,
        })
    }

    /// The breaker of each endpoint.
    #[must_use]
    pub fn breaker(&self) -> BreakerConfig {
        BreakerConfig {
            open_time: self.reset_interval,
            max_open_time: self.reset_interval,
            probes_to_close: self.success_threshold,
            ..BreakerConfig::consecutive(self.failure_threshold)
        }
    }

    /// The codes of its [`retryable_errors`](Self::retryable_errors).
    #[must_use]
    pub fn retryable_codes(&self) -> CodeSet {
        let codes = self.retryable_errors.iter().map(|class| class.code());
        codes.filter(|code| *code != Code::Ok).collect()
    }
}

impl ErrorClass {
    /// The code that errors of this kind have.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::ConnectionRefused | Self::ServiceUnavailable => Code::Unavailable,
            Self::Timeout => Code::DeadlineExceeded,
            Self::Overloaded => Code::ResourceExhausted,
            Self::Code(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_policy::throttle::Throttle;

    use super::*;

    #[test]
    fn each_setting_has_its_place() {
        let config = FailoverConfig {
            max_attempts: 7,
            retry_interval: Duration::from_millis(20),
            retryable_errors: vec![
                ErrorClass::Timeout,
                ErrorClass::Overloaded,
                ErrorClass::Code(Code::Aborted),
                ErrorClass::Code(Code::Ok),
            ],
            failure_threshold: 4,
            success_threshold: 3,
            reset_interval: Duration::from_secs(9),
            except: vec!["a.B/C".parse().unwrap()],
            throttle: None,
        };
        let policy = config.retry_policy().unwrap();
        let fallback = config.fallback_retry().unwrap();
        assert_eq!(fallback.policy, policy);
        assert_eq!(fallback.except, config.except);
        assert_eq!(fallback.throttle, None);
        assert_eq!(policy.max_attempts, 7);
        for retry in 1..7 {
            assert_eq!(policy.backoff(retry), Duration::from_millis(20));
        }
        let codes = [
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
            Code::Aborted,
        ];
        assert_eq!(policy.retryable_codes, CodeSet::of(&codes));
        let breaker = config.breaker();
        assert_eq!(
            (breaker.consecutive_failures, breaker.probes_to_close),
            (4, 3)
        );
        assert_eq!(breaker.open_time, Duration::from_secs(9));
        assert_eq!(breaker.max_open_time, breaker.open_time);
        assert_eq!(breaker.probes, 1);
        assert_eq!((breaker.failure_ratio, breaker.adaptive), (None, None));
    }

    /// What its code falls back to is something else.
    #[test]
    fn the_default_is_the_example_in_the_readme_of_where_it_comes_from() {
        let config = FailoverConfig::default();
        let policy = config.retry_policy().unwrap();
        assert_eq!(policy.max_attempts, 3);
        assert_eq!(policy.initial_backoff, Duration::from_millis(100));
        let codes = [Code::Unavailable, Code::DeadlineExceeded];
        assert_eq!(policy.retryable_codes, CodeSet::of(&codes));
        let breaker = config.breaker();
        assert_eq!(
            (breaker.consecutive_failures, breaker.probes_to_close),
            (5, 2)
        );
        assert_eq!(breaker.open_time, Duration::from_secs(60));
    }

    #[test]
    fn by_default_all_methods_are_retried_and_one_call_in_ten_in_the_long_run() {
        let fallback = FailoverConfig::default().fallback_retry().unwrap();
        assert!(fallback.policy_of("/a.B/C").is_some());
        let throttle = Throttle::new(fallback.throttle.unwrap());
        let failures = (0..1_000).take_while(|_| {
            throttle.on_failure();
            throttle.allows_retry()
        });
        assert_eq!(failures.count(), 49, "an outage");
        (0..10).for_each(|_| throttle.on_success());
        assert!(throttle.allows_retry());
        throttle.on_failure();
        assert!(!throttle.allows_retry());
    }

    #[test]
    fn without_attempts_or_errors_there_are_no_retries() {
        let default = FailoverConfig::default;
        for (config, retries) in [
            (default(), true),
            (
                FailoverConfig {
                    max_attempts: 1,
                    ..default()
                },
                false,
            ),
            (
                FailoverConfig {
                    retryable_errors: vec![ErrorClass::Code(Code::Ok)],
                    ..default()
                },
                false,
            ),
            (
                FailoverConfig {
                    retry_interval: Duration::ZERO,
                    ..default()
                },
                true,
            ),
        ] {
            let policy = config.retry_policy();
            assert_eq!(policy.is_some(), retries, "{config:?}");
            assert!(policy.is_none_or(|it| it.initial_backoff > Duration::ZERO));
        }
    }
}
