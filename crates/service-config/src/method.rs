use std::sync::Arc;
use std::time::Duration;

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::RetryPolicy;

use crate::retry::{hedging_policy, retry_policy};
use crate::{ConfigError, Field, Object};

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
    /// `retryPolicy`; never beside a `hedgingPolicy`.
    pub retry_policy: Option<RetryPolicy>,
    /// `hedgingPolicy` (gRFC A6); never beside a `retryPolicy`.
    pub hedging_policy: Option<HedgingPolicy>,
    /// `maxRequestMessageBytes`: the longest message that is sent, in bytes; zero leaves only
    /// empty ones. A lower limit of the caller's wins.
    pub max_request_message_bytes: Option<u32>,
    /// `maxResponseMessageBytes`: the longest message that is received, in bytes; zero leaves
    /// only empty ones. A lower limit of the caller's wins.
    pub max_response_message_bytes: Option<u32>,
}

/// A method's config with what explaining it needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config: Arc<MethodConfig>,
    /// `maxAttempts` of its retry or hedging policy before the cap.
    pub(crate) written_attempts: Option<u32>,
    /// The entry's place in the document.
    pub(crate) path: Arc<str>,
}

impl Settings {
    pub(crate) fn parse(entry: &mut Object<'_>) -> Result<Self, ConfigError> {
        let bytes = |field: Field<'_>| field.integer(0..=u32::MAX);
        let wait_for_ready = entry.optional("waitForReady", |field| field.boolean())?;
        let timeout = entry.optional("timeout", |field| field.duration())?;
        let retry = entry.optional("retryPolicy", |field| field.object(retry_policy))?;
        let hedging = entry.optional("hedgingPolicy", |field| {
            if retry.is_some() {
                return Err(field.error("a method has a retryPolicy or a hedgingPolicy, not both"));
            }
            field.object(hedging_policy)
        })?;
        let written = (retry.as_ref().map(|it| it.1)).or(hedging.as_ref().map(|it| it.1));
        let config = MethodConfig {
            wait_for_ready,
            timeout,
            retry_policy: retry.map(|(policy, _)| policy),
            hedging_policy: hedging.map(|(policy, _)| policy),
            max_request_message_bytes: entry.optional("maxRequestMessageBytes", bytes)?,
            max_response_message_bytes: entry.optional("maxResponseMessageBytes", bytes)?,
        };
        Ok(Self {
            config: Arc::new(config),
            written_attempts: written,
            path: entry.path().into(),
        })
    }
}
