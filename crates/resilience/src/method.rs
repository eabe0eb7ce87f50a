use std::sync::Arc;
use std::time::Duration;

use evenkeel_policy::retry::RetryPolicy;
use evenkeel_policy::throttle::Throttle;
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
    pub(crate) retry_policy: Option<RetryPolicy>,
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) limits: MessageLimits,
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
