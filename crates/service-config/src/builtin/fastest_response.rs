use std::time::Duration;

use evenkeel_policy::lb::FastestResponseConfig;

use crate::{ConfigError, Field, Object};

pub(super) fn parse(config: &mut Object<'_>) -> Result<FastestResponseConfig, ConfigError> {
    let mut parsed = FastestResponseConfig::default();
    if let Some(decay) = config.optional("decayTime", decay)? {
        parsed.latency.decay = decay;
    }
    if let Some(penalty) = config.optional("failurePenalty", penalty)? {
        parsed.latency.failure_penalty = penalty;
    }
    Ok(parsed)
}

fn decay(field: Field<'_>) -> Result<Duration, ConfigError> {
    let decay = field.clone().duration()?;
    if decay.is_zero() {
        return Err(field.error("it must be more than 0"));
    }
    Ok(decay)
}

fn penalty(field: Field<'_>) -> Result<f64, ConfigError> {
    let penalty = field.clone().number()?;
    if !(1.0..=FastestResponseConfig::MOST_PENALTY).contains(&penalty) {
        return Err(field.not("a number from 1 to 1000"));
    }
    Ok(penalty)
}

#[cfg(test)]
mod tests {
    use super::super::table::{bad, good};
    use super::*;

    const NAME: &str = "evenkeel.fastest_response";

    #[test]
    fn good_configs() {
        for (json, decay, penalty) in [
            ("{}", 10.0, 2.0),
            (r#"{"decayTime": "0.5s", "failurePenalty": 1}"#, 0.5, 1.0),
            (r#"{"failurePenalty": 1000}"#, 10.0, 1000.0),
        ] {
            let latency = good(NAME, json, parse, &[]).latency;
            assert_eq!(latency.decay, Duration::from_secs_f64(decay), "{json}");
            assert!((latency.failure_penalty - penalty).abs() < 1e-9, "{json}");
        }
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            (r#"{"decayTime": "0s"}"#, ".decayTime", "more than 0"),
            (r#"{"decayTime": "10"}"#, ".decayTime", "\"10s\""),
            (
                r#"{"failurePenalty": 0.9}"#,
                ".failurePenalty",
                "from 1 to 1000",
            ),
            (
                r#"{"failurePenalty": 1001}"#,
                ".failurePenalty",
                "from 1 to 1000",
            ),
            (
                r#"{"failurePenalty": null, "decayTime": []}"#,
                ".decayTime",
                "not a duration",
            ),
        ] {
            bad(NAME, json, place, reason);
        }
    }
}
