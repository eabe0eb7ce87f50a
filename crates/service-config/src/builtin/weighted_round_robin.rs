use std::time::Duration;

use evenkeel_policy::lb::WeightedRoundRobinConfig;

use crate::{ConfigError, Field, Object};

/// gRFC A58 and A114.
pub(super) fn parse(config: &mut Object<'_>) -> Result<WeightedRoundRobinConfig, ConfigError> {
    let mut parsed = WeightedRoundRobinConfig::default();
    let is_out_of_band = config.optional("enableOobLoadReport", |field| field.boolean())?;
    let period = config.optional("oobReportingPeriod", |field| field.duration())?;
    if is_out_of_band == Some(true) {
        parsed.oob = Some(period.unwrap_or(OOB_REPORTING_PERIOD));
    }
    if let Some(blackout) = config.optional("blackoutPeriod", |field| field.duration())? {
        parsed.blackout_period = blackout;
    }
    if let Some(expiration) = config.optional("weightExpirationPeriod", |field| field.duration())? {
        parsed.weight_expiration_period = expiration;
    }
    if let Some(period) = config.optional("weightUpdatePeriod", update_period)? {
        parsed.weight_update_period = period;
    }
    if let Some(penalty) = config.optional("errorUtilizationPenalty", penalty)? {
        parsed.error_utilization_penalty = penalty;
    }
    if let Some(names) = config.optional("metricNamesForComputingUtilization", metric_names)? {
        parsed.metric_names_for_computing_utilization = names;
    }
    Ok(parsed)
}

const OOB_REPORTING_PERIOD: Duration = Duration::from_secs(10);

fn update_period(field: Field<'_>) -> Result<Duration, ConfigError> {
    let period = field.clone().duration()?;
    let least = WeightedRoundRobinConfig::LEAST_WEIGHT_UPDATE_PERIOD;
    if period < least {
        field.warn("less than 0.1s: taken for that");
    }
    Ok(period.max(least))
}

fn penalty(field: Field<'_>) -> Result<f64, ConfigError> {
    let penalty = field.clone().number()?;
    if penalty < 0.0 {
        return Err(field.not("a number of at least 0"));
    }
    Ok(penalty)
}

fn metric_names(field: Field<'_>) -> Result<Vec<String>, ConfigError> {
    let name = |field: Field<'_>| {
        let name = field.clone().text()?;
        if !WeightedRoundRobinConfig::is_metric(name) {
            field.warn(
                "no metric of a load report, ignored; write \"application_utilization\", \
                 \"cpu_utilization\", \"mem_utilization\", \"named_metrics.<key>\" or \
                 \"utilization.<key>\"",
            );
        }
        Ok(name.to_owned())
    };
    field.items()?.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::{bad, good};
    use super::*;

    const NAME: &str = "weighted_round_robin";

    #[test]
    fn good_configs() {
        let default = WeightedRoundRobinConfig::default;
        let secs = Duration::from_secs;
        let with = |change: fn(&mut WeightedRoundRobinConfig)| {
            let mut config = default();
            change(&mut config);
            config
        };
        for (json, expected, warnings) in [
            ("{}", default(), &[][..]),
            (
                r#"{"enableOobLoadReport": false, "oobReportingPeriod": "3s"}"#,
                default(),
                &[],
            ),
            (
                r#"{"enableOobLoadReport": true}"#,
                with(|it| it.oob = Some(Duration::from_secs(10))),
                &[],
            ),
            (
                r#"{"enableOobLoadReport": true, "oobReportingPeriod": "0s"}"#,
                with(|it| it.oob = Some(Duration::ZERO)),
                &[],
            ),
            (
                r#"{"blackoutPeriod": "0s", "weightExpirationPeriod": "0s", "errorUtilizationPenalty": 0}"#,
                with(|it| {
                    it.blackout_period = Duration::ZERO;
                    it.weight_expiration_period = Duration::ZERO;
                    it.error_utilization_penalty = 0.0;
                }),
                &[],
            ),
            (
                r#"{"blackoutPeriod": "1.5s", "weightExpirationPeriod": "60s", "weightUpdatePeriod": "2s", "errorUtilizationPenalty": 2.5}"#,
                with(|it| {
                    it.blackout_period = Duration::from_millis(1_500);
                    it.weight_expiration_period = Duration::from_secs(60);
                    it.weight_update_period = Duration::from_secs(2);
                    it.error_utilization_penalty = 2.5;
                }),
                &[],
            ),
            (
                r#"{"weightUpdatePeriod": "0.1s"}"#,
                with(|it| it.weight_update_period = Duration::from_millis(100)),
                &[],
            ),
            (
                r#"{"weightUpdatePeriod": "0.099s"}"#,
                with(|it| it.weight_update_period = Duration::from_millis(100)),
                &[".weightUpdatePeriod"],
            ),
            (
                r#"{"metricNamesForComputingUtilization": ["mem_utilization", "named_metrics.a.b", "foo"]}"#,
                with(|it| {
                    it.metric_names_for_computing_utilization =
                        ["mem_utilization", "named_metrics.a.b", "foo"]
                            .map(str::to_owned)
                            .into();
                }),
                &[".metricNamesForComputingUtilization[2]"],
            ),
        ] {
            assert_eq!(good(NAME, json, parse, warnings), expected, "{json}");
        }
        assert_eq!(OOB_REPORTING_PERIOD, secs(10));
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            (
                r#"{"enableOobLoadReport": "yes"}"#,
                ".enableOobLoadReport",
                "not true or false",
            ),
            (
                r#"{"oobReportingPeriod": 10}"#,
                ".oobReportingPeriod",
                "write seconds",
            ),
            (
                r#"{"blackoutPeriod": "-1s"}"#,
                ".blackoutPeriod",
                "negative",
            ),
            (
                r#"{"blackoutPeriod": "10ms"}"#,
                ".blackoutPeriod",
                "\"0.01s\"",
            ),
            (
                r#"{"weightExpirationPeriod": "3m"}"#,
                ".weightExpirationPeriod",
                "\"180s\"",
            ),
            (
                r#"{"weightUpdatePeriod": true}"#,
                ".weightUpdatePeriod",
                "not a duration",
            ),
            (
                r#"{"errorUtilizationPenalty": -0.1}"#,
                ".errorUtilizationPenalty",
                "at least 0",
            ),
            (
                r#"{"errorUtilizationPenalty": "much"}"#,
                ".errorUtilizationPenalty",
                "not a number",
            ),
            (
                r#"{"metricNamesForComputingUtilization": "cpu_utilization"}"#,
                ".metricNamesForComputingUtilization",
                "not a list",
            ),
            (
                r#"{"metricNamesForComputingUtilization": ["cpu_utilization", 3]}"#,
                ".metricNamesForComputingUtilization[1]",
                "not a text",
            ),
        ] {
            bad(NAME, json, place, reason);
        }
    }
}
