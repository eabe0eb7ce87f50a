mod mistakes;
mod text;

use std::time::Duration;

use evenkeel_policy::retry::CodeSet;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::names::{Entry, Methods};
use crate::retry::code_name;
use crate::{LbConfig, ServiceConfig, Warning, duration};

/// What a service config comes to: see [`ServiceConfig::explain`].
///
/// As text it is for people, one thing a line; its fields, and its JSON, are for programs. JSON
/// has it in camelCase, durations as the service config writes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The LB policy that was chosen.
    pub load_balancing: PolicyExplanation,
    /// What is in force for which calls, in the order of the document; the most specific name
    /// counts, and nothing is taken over from another.
    pub methods: Vec<MethodExplanation>,
    /// `retryThrottling`.
    pub retry_throttling: Option<ThrottleExplanation>,
    /// `healthCheckConfig.serviceName`.
    pub health_check_service_name: Option<String>,
    /// `connectionScaling.maxConnectionsPerSubchannel`.
    pub max_connections_per_subchannel: Option<u32>,
    /// What is ignored, skipped or changed: [`ServiceConfig::warnings`].
    pub warnings: Vec<Warning>,
    /// What is legal and in force, and probably not meant.
    pub likely_mistakes: Vec<Warning>,
    /// [`ServiceConfig::unused_names`]; empty as long as there was no call at all.
    pub never_called: Vec<String>,
    /// The path of the first call that no name is for, if there are names and there was one.
    pub unnamed_call: Option<String>,
}

/// An LB policy in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PolicyExplanation {
    /// Its own name, whatever alias it was called by.
    pub name: String,
    /// What its config sets, without what is ignored and without its children.
    pub config: Map<String, Value>,
    /// The fields that its config leaves at their defaults.
    pub defaults: Vec<String>,
    /// The policies that it has chosen for itself: `childPolicy`.
    pub children: Vec<Self>,
}

/// One name of `methodConfig` in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MethodExplanation {
    /// `service/method`, `service`, or `all services`.
    pub name: String,
    /// The name's place in the document.
    pub path: String,
    /// `timeout`.
    #[serde(serialize_with = "optional_seconds")]
    pub timeout: Option<Duration>,
    /// `waitForReady`.
    pub wait_for_ready: Option<bool>,
    /// `retryPolicy`.
    pub retry: Option<RetryExplanation>,
    /// `hedgingPolicy`.
    pub hedging: Option<HedgingExplanation>,
    /// `maxRequestMessageBytes`.
    pub max_request_message_bytes: Option<u32>,
    /// `maxResponseMessageBytes`.
    pub max_response_message_bytes: Option<u32>,
    /// Whether there has been a call with this name, or with one that it covers.
    pub called: bool,
}

/// A `retryPolicy` in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RetryExplanation {
    /// Attempts in all, the first included, after the cap.
    pub max_attempts: u32,
    /// The same as it is written.
    pub written_max_attempts: u32,
    /// Delay before the first retry, before jitter.
    #[serde(serialize_with = "seconds")]
    pub initial_backoff: Duration,
    /// Upper bound of the delay, before jitter.
    #[serde(serialize_with = "seconds")]
    pub max_backoff: Duration,
    /// Growth of the delay from retry to retry.
    pub backoff_multiplier: f64,
    /// gRPC's names of the codes that are retried.
    pub retryable_status_codes: Vec<&'static str>,
}

/// A `hedgingPolicy` in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HedgingExplanation {
    /// Attempts in all, the first included, after the cap.
    pub max_attempts: u32,
    /// The same as it is written.
    pub written_max_attempts: u32,
    /// From the start of one attempt to the start of the next.
    #[serde(serialize_with = "seconds")]
    pub hedging_delay: Duration,
    /// gRPC's names of the codes after which the other attempts go on.
    pub non_fatal_status_codes: Vec<&'static str>,
}

/// `retryThrottling` in an [`Explanation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ThrottleExplanation {
    /// `maxTokens`: retries stop when half of them are spent; a failed attempt costs one.
    pub max_tokens: f64,
    /// `tokenRatio`: what a successful call gives back.
    pub token_ratio: f64,
}

impl Explanation {
    pub(crate) fn of(config: &ServiceConfig, methods: &Methods) -> Self {
        let entries = methods.entries();
        let was_used = methods.stray().is_some() || entries.iter().any(|entry| entry.is_called());
        Self {
            load_balancing: PolicyExplanation::of(config.load_balancing()),
            methods: entries.iter().map(|it| MethodExplanation::of(it)).collect(),
            retry_throttling: config.retry_throttling().map(|it| ThrottleExplanation {
                max_tokens: f64::from(it.max_milli_tokens) / 1000.0,
                token_ratio: f64::from(it.milli_token_ratio) / 1000.0,
            }),
            health_check_service_name: config.health_check_service_name().map(str::to_owned),
            max_connections_per_subchannel: config.max_connections_per_subchannel(),
            warnings: config.warnings().to_vec(),
            likely_mistakes: mistakes::of(config, methods),
            never_called: match was_used {
                true => config.unused_names(),
                false => Vec::new(),
            },
            unnamed_call: methods.stray().map(str::to_owned),
        }
    }
}

impl PolicyExplanation {
    fn of(policy: &LbConfig) -> Self {
        Self {
            name: policy.name().to_owned(),
            config: policy.effective().clone(),
            defaults: policy.unset().to_vec(),
            children: policy.children().iter().map(Self::of).collect(),
        }
    }
}

impl MethodExplanation {
    pub(crate) fn of(entry: &Entry) -> Self {
        let config = &*entry.settings.config;
        let written = entry.settings.written_attempts;
        Self {
            name: entry.to_string(),
            path: entry.path.clone(),
            timeout: config.timeout,
            wait_for_ready: config.wait_for_ready,
            retry: config.retry_policy.as_ref().map(|it| RetryExplanation {
                max_attempts: it.max_attempts,
                written_max_attempts: written.unwrap_or(it.max_attempts),
                initial_backoff: it.initial_backoff,
                max_backoff: it.max_backoff,
                backoff_multiplier: it.backoff_multiplier,
                retryable_status_codes: names(it.retryable_codes),
            }),
            hedging: config.hedging_policy.as_ref().map(|it| HedgingExplanation {
                max_attempts: it.max_attempts,
                written_max_attempts: written.unwrap_or(it.max_attempts),
                hedging_delay: it.hedging_delay,
                non_fatal_status_codes: names(it.non_fatal_codes),
            }),
            max_request_message_bytes: config.max_request_message_bytes,
            max_response_message_bytes: config.max_response_message_bytes,
            called: entry.is_called(),
        }
    }
}

fn names(codes: CodeSet) -> Vec<&'static str> {
    codes.iter().map(code_name).collect()
}

fn seconds<S: Serializer>(it: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::format(*it))
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
fn optional_seconds<S: Serializer>(
    it: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    it.map(duration::format).serialize(serializer)
}

#[cfg(test)]
mod tests;
