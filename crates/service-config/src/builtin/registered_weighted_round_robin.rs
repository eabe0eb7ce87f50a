use std::time::Duration;

use evenkeel_policy::lb::RegisteredWeightedRoundRobinConfig;

use crate::{ConfigError, Field, Object};

pub(super) fn parse(
    config: &mut Object<'_>,
) -> Result<RegisteredWeightedRoundRobinConfig, ConfigError> {
    let mut parsed = RegisteredWeightedRoundRobinConfig::default();
    if let Some(reacts) = config.optional("reactToErrors", |field| field.boolean())? {
        parsed.react_to_errors = reacts;
    }
    if let Some(interval) = config.optional("probeInterval", probe_interval)? {
        parsed.probe_interval = interval;
    }
    Ok(parsed)
}

fn probe_interval(field: Field<'_>) -> Result<Duration, ConfigError> {
    let interval = field.clone().duration()?;
    if interval < RegisteredWeightedRoundRobinConfig::LEAST_PROBE_INTERVAL {
        return Err(field.not("at least \"0.1s\""));
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::super::table::{bad, good};
    use super::*;

    const NAME: &str = "evenkeel.registered_weighted_round_robin";

    #[test]
    fn good_configs() {
        for (json, reacts, seconds) in [
            ("{}", true, 1.0),
            (r#"{"reactToErrors": false}"#, false, 1.0),
            (
                r#"{"reactToErrors": true, "probeInterval": "0.1s"}"#,
                true,
                0.1,
            ),
            (r#"{"probeInterval": "60s"}"#, true, 60.0),
        ] {
            let config = good(NAME, json, parse, &[]);
            assert_eq!(config.react_to_errors, reacts, "{json}");
            let interval = Duration::from_secs_f64(seconds);
            assert_eq!(config.probe_interval, interval, "{json}");
        }
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            (
                r#"{"reactToErrors": 1}"#,
                ".reactToErrors",
                "not true or false",
            ),
            (
                r#"{"probeInterval": "0.09s"}"#,
                ".probeInterval",
                "at least \"0.1s\"",
            ),
            (r#"{"probeInterval": "1m"}"#, ".probeInterval", "\"60s\""),
        ] {
            bad(NAME, json, place, reason);
        }
    }
}
