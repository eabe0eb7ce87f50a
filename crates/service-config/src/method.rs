use std::time::Duration;

use evenkeel_policy::retry::RetryPolicy;

use crate::retry::{hedging_policy, retry_policy};
use crate::{ConfigError, Object};

/// One entry of `methodConfig`, without its names.
///
/// One method has one entry, the most specific; nothing is taken over from a less specific one.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodConfig {
    /// `waitForReady`: whether calls wait while the channel is in TRANSIENT_FAILURE. What the
    /// caller says wins.
    pub wait_for_ready: Option<bool>,
    /// `timeout`: from the start of the call to the end of its response, with every attempt and
    /// all waiting in between; zero ends each call at once. A shorter one of the caller's wins.
    pub timeout: Option<Duration>,
    /// `retryPolicy`.
    pub retry_policy: Option<RetryPolicy>,
}

impl MethodConfig {
    pub(crate) fn parse(entry: &mut Object<'_>) -> Result<Self, ConfigError> {
        let method = Self {
            wait_for_ready: entry.optional("waitForReady", |field| field.boolean())?,
            timeout: entry.optional("timeout", |field| field.duration())?,
            retry_policy: entry.optional("retryPolicy", |field| field.object(retry_policy))?,
        };
        let retries = method.retry_policy.is_some();
        entry.unsupported("hedgingPolicy", |field| {
            if retries {
                return Err(field.error("a method has a retryPolicy or a hedgingPolicy, not both"));
            }
            field.clone().object(hedging_policy)
        })?;
        for limit in ["maxRequestMessageBytes", "maxResponseMessageBytes"] {
            entry.unsupported(limit, |field| field.clone().integer(0..=u32::MAX).map(drop))?;
        }
        Ok(method)
    }
}
