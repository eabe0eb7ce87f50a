use std::time::Duration;

use evenkeel_policy::retry::RetryPolicy;
use evenkeel_service_config::ServiceConfig;

/// Where a layer looks up what is configured for a method.
#[derive(Clone, Debug)]
pub(crate) enum Methods<T> {
    /// Per method.
    Config(ServiceConfig),
    /// The same for all of them.
    All(T),
}

impl Methods<RetryPolicy> {
    pub(crate) fn retry_policy(&self, path: &str) -> Option<&RetryPolicy> {
        match self {
            Self::Config(config) => config.method(path)?.retry_policy.as_ref(),
            Self::All(policy) => Some(policy),
        }
    }
}

impl Methods<Duration> {
    /// `timeout` and `waitForReady`.
    pub(crate) fn timeout(&self, path: &str) -> (Option<Duration>, Option<bool>) {
        match self {
            Self::Config(config) => config.method(path).map_or((None, None), |method| {
                (method.timeout, method.wait_for_ready)
            }),
            Self::All(timeout) => (Some(*timeout), None),
        }
    }
}
