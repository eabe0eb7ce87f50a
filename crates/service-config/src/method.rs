use std::sync::Arc;
use std::time::Duration;

use evenkeel_policy::retry::RetryPolicy;
use evenkeel_policy::throttle::ThrottleConfig;

/// One entry of `methodConfig`, without its names.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodConfig {
    /// `waitForReady`.
    pub wait_for_ready: Option<bool>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `retryPolicy`.
    pub retry_policy: Option<RetryPolicy>,
}

/// A validated service config. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ServiceConfig {
    throttle: Option<ThrottleConfig>,
}

impl ServiceConfig {
    /// What is configured for `path` (`/package.Service/Method`), most specific name first.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        let _ = path;
        None
    }

    /// `retryThrottling`.
    #[must_use]
    pub fn retry_throttling(&self) -> Option<ThrottleConfig> {
        self.throttle
    }
}
