//! `retryPolicy`, `hedgingPolicy` and `retryThrottling` (gRFC A6).

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use evenkeel_policy::throttle::ThrottleConfig;
use serde_json::Value;
use tonic::Code;

use crate::suggest::did_you_mean;
use crate::{ConfigError, Field, Object};

/// The policy, and its `maxAttempts` as it is written.
pub(crate) fn retry_policy(config: &mut Object<'_>) -> Result<(RetryPolicy, u32), ConfigError> {
    let backoff = |field: Field<'_>| {
        let duration = field.clone().duration()?;
        if duration.is_zero() {
            return Err(field.error("a backoff is more than 0"));
        }
        Ok(duration)
    };
    let multiplier = |field: Field<'_>| match field.clone().number()? {
        number if number > 0.0 => Ok(number),
        number => Err(field.error(format!("{number} is not more than 0"))),
    };
    let (max_attempts, written) = config.required("maxAttempts", max_attempts)?;
    let initial_backoff = config.required("initialBackoff", backoff)?;
    let max_backoff = config.required("maxBackoff", backoff)?;
    let backoff_multiplier = config.required("backoffMultiplier", multiplier)?;
    let retryable_codes = config.required("retryableStatusCodes", |field| {
        let codes = codes(field.clone())?;
        if codes.is_empty() {
            return Err(field.error("names no status that can be retried"));
        }
        Ok(codes)
    })?;
    let policy = RetryPolicy::new(
        max_attempts,
        initial_backoff,
        max_backoff,
        backoff_multiplier,
        retryable_codes,
    );
    Ok((policy, written))
}

/// The policy, and its `maxAttempts` as it is written.
pub(crate) fn hedging_policy(config: &mut Object<'_>) -> Result<(HedgingPolicy, u32), ConfigError> {
    let (max_attempts, written) = config.required("maxAttempts", max_attempts)?;
    let delay = config.optional("hedgingDelay", |field| field.duration())?;
    let non_fatal = config.optional("nonFatalStatusCodes", codes)?;
    let policy = HedgingPolicy::new(
        max_attempts,
        delay.unwrap_or_default(),
        non_fatal.unwrap_or_default(),
    );
    Ok((policy, written))
}

pub(crate) fn throttle(config: &mut Object<'_>) -> Result<ThrottleConfig, ConfigError> {
    let max_tokens = config.required("maxTokens", |field| field.integer(1..=1000))?;
    let milli_token_ratio = config.required("tokenRatio", |field| {
        let ratio = field.clone().number()?;
        match thousandths(ratio) {
            0 => Err(field.error(format!(
                "{ratio} is less than 0.001, and further decimals do not count"
            ))),
            thousandths => Ok(thousandths),
        }
    })?;
    Ok(ThrottleConfig::new(max_tokens * 1000, milli_token_ratio))
}

/// What counts of it, and what is written.
fn max_attempts(field: Field<'_>) -> Result<(u32, u32), ConfigError> {
    let attempts = field.clone().integer(2..=u32::MAX)?;
    let cap = field.scope().options.max_attempts_cap.max(2);
    if attempts > cap {
        field.warn(format!(
            "{attempts} attempts are more than the cap of {cap}, which counts"
        ));
    }
    Ok((attempts.min(cap), attempts))
}

/// `number` × 1000 with what is left cut off, by its decimal digits: 0.29 × 1000 is 289.99…
fn thousandths(number: f64) -> u32 {
    if number <= 0.0 {
        return 0;
    }
    let text = number.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String = decimals.chars().chain("000".chars()).take(3).collect();
    // Only digits, so this fails only when they are too many.
    format!("{whole}{digits}").parse().unwrap_or(u32::MAX)
}

fn codes(field: Field<'_>) -> Result<CodeSet, ConfigError> {
    let mut codes = Vec::new();
    for item in field.items()? {
        match code(&item)? {
            Code::Ok => item.warn("OK is not a failure: ignored"),
            code => codes.push(code),
        }
    }
    Ok(codes.into_iter().collect())
}

/// By number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// gRPC's name of it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    NAMES[code as usize]
}

fn code(field: &Field<'_>) -> Result<Code, ConfigError> {
    let number = match field.raw() {
        Value::String(name) => {
            let known = NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name));
            known.ok_or_else(|| {
                let hint = did_you_mean(name, NAMES);
                field.not(&format!("the name of a status{hint}"))
            })? as u32
        }
        _ => field.clone().integer(0..=16)?,
    };
    Ok(Code::from_i32(number as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_decimals_are_cut_off() {
        for (number, expected) in [
            (0.1, 100),
            (0.29, 290),
            (0.5466, 546),
            (0.000_9, 0),
            (1e-300, 0),
            (-1.0, 0),
            (3.0, 3_000),
            (1e300, u32::MAX),
        ] {
            assert_eq!(thousandths(number), expected, "{number}");
        }
    }
}
