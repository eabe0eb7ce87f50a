use std::time::Duration;

use evenkeel_policy::lb::{
    BuildWrapper, FailurePercentageEjection, OutlierDetection, OutlierDetectionConfig,
    SuccessRateEjection,
};

use crate::{ConfigError, Field, Object};

pub(super) fn parse(
    config: &mut Object<'_>,
) -> Result<BuildWrapper<OutlierDetection>, ConfigError> {
    let mut parsed = OutlierDetectionConfig::default();
    let seconds = |field: Field<'_>| field.duration();
    parsed.interval = config
        .optional("interval", interval)?
        .unwrap_or(parsed.interval);
    for (name, setting) in [
        ("baseEjectionTime", &mut parsed.base_ejection_time),
        ("maxEjectionTime", &mut parsed.max_ejection_time),
    ] {
        *setting = config.optional(name, seconds)?.unwrap_or(*setting);
    }
    let most = config.optional("maxEjectionPercent", percent)?;
    parsed.max_ejection_percent = most.unwrap_or(parsed.max_ejection_percent);
    parsed.success_rate = config.optional("successRateEjection", success_rate)?;
    parsed.failure_percentage = config.optional("failurePercentageEjection", failure_percentage)?;
    let child = config.required("childPolicy", |field| field.child_policy())?;
    if parsed.success_rate.is_none() && parsed.failure_percentage.is_none() {
        config.warn(
            "no endpoint is ever ejected: there is neither successRateEjection \
             nor failurePercentageEjection",
        );
    }
    Ok(BuildWrapper::new(parsed, child))
}

fn interval(field: Field<'_>) -> Result<Duration, ConfigError> {
    let interval = field.clone().duration()?;
    let least = OutlierDetectionConfig::LEAST_INTERVAL;
    if interval < least {
        field.warn("less than 0.1s: taken for that");
    }
    Ok(interval.max(least))
}

fn success_rate(field: Field<'_>) -> Result<SuccessRateEjection, ConfigError> {
    field.object(|config| {
        let mut parsed = SuccessRateEjection::default();
        for (name, read, setting) in [
            ("stdevFactor", number as Read, &mut parsed.stdev_factor),
            (
                "enforcementPercentage",
                percent,
                &mut parsed.enforcement_percentage,
            ),
            ("minimumHosts", number, &mut parsed.minimum_hosts),
            ("requestVolume", number, &mut parsed.request_volume),
        ] {
            *setting = config.optional(name, read)?.unwrap_or(*setting);
        }
        Ok(parsed)
    })
}

fn failure_percentage(field: Field<'_>) -> Result<FailurePercentageEjection, ConfigError> {
    field.object(|config| {
        let mut parsed = FailurePercentageEjection::default();
        for (name, read, setting) in [
            ("threshold", percent as Read, &mut parsed.threshold),
            (
                "enforcementPercentage",
                percent,
                &mut parsed.enforcement_percentage,
            ),
            ("minimumHosts", number, &mut parsed.minimum_hosts),
            ("requestVolume", number, &mut parsed.request_volume),
        ] {
            *setting = config.optional(name, read)?.unwrap_or(*setting);
        }
        Ok(parsed)
    })
}

type Read = fn(Field<'_>) -> Result<u32, ConfigError>;

fn percent(field: Field<'_>) -> Result<u32, ConfigError> {
    field.integer(0..=100)
}

fn number(field: Field<'_>) -> Result<u32, ConfigError> {
    field.integer(0..=u32::MAX)
}

#[cfg(test)]
mod tests;
