use std::sync::Arc;
use std::time::Duration;

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::RetryPolicy;
use evenkeel_policy::throttle::Throttle;
use evenkeel_service_config::MethodConfig;
use http::HeaderValue;
use http::uri::PathAndQuery;

use crate::limits::MessageLimits;
use crate::timeout;

/// What is configured for one method. A call keeps it as it was when the call started, whatever
/// becomes of the config (gRPC: the method config is fixed then).
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`, and a query if requests have one.
    pub(crate) path: PathAndQuery,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) wait_for_ready: Option<bool>,
    pub(crate) again: Option<Again>,
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) limits: MessageLimits,
}

/// How a method's calls come to further attempts, beside those that no server has seen.
#[derive(Clone, Debug)]
pub(crate) enum Again {
    Retry(RetryPolicy),
    Hedge(HedgingPolicy),
}

impl Again {
    /// What a service config has; never both.
    pub(crate) fn of(config: &MethodConfig) -> Option<Self> {
        let retry = config.retry_policy.clone().map(Self::Retry);
        retry.or_else(|| config.hedging_policy.clone().map(Self::Hedge))
    }
}

impl Method {
    /// Its `retryPolicy`.
    pub(crate) const fn retry_policy(&self) -> Option<&RetryPolicy> {
        match &self.again {
            Some(Again::Retry(policy)) => Some(policy),
            Some(Again::Hedge(_)) | None => None,
        }
    }

    /// Its `hedgingPolicy`.
    #[inline]
    pub(crate) const fn hedging_policy(&self) -> Option<&HedgingPolicy> {
        match &self.again {
            Some(Again::Hedge(policy)) => Some(policy),
            Some(Again::Retry(_)) | None => None,
        }
    }
}

/// A timeout, and the same as a header.
#[derive(Clone, Debug)]
pub(crate) struct Timeout {
    pub(crate) duration: Duration,
    pub(crate) header: HeaderValue,
}

impl Timeout {
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            duration,
            header: timeout::encode(duration),
        }
    }
}
