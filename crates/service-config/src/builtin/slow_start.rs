use evenkeel_policy::lb::{BuildWrapper, SlowStart, SlowStartConfig};

use crate::{ConfigError, Field, Object};

pub(super) fn parse(config: &mut Object<'_>) -> Result<BuildWrapper<SlowStart>, ConfigError> {
    let mut parsed = SlowStartConfig::default();
    if let Some(window) = config.optional("window", |field| field.duration())? {
        parsed.window = window;
    }
    if let Some(aggression) = config.optional("aggression", above_zero)? {
        parsed.aggression = aggression;
    }
    if let Some(percent) = config.optional("minWeightPercent", |field| field.integer(1..=100))? {
        parsed.min_weight_percent = percent;
    }
    let child = config.required("childPolicy", |field| field.child_policy())?;
    Ok(BuildWrapper::new(parsed, child))
}

fn above_zero(field: Field<'_>) -> Result<f64, ConfigError> {
    let number = field.clone().number()?;
    if number > 0.0 {
        Ok(number)
    } else {
        Err(field.error(format!("{number} is not above 0")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::builtin::table::{bad, good};

    #[test]
    fn good_and_bad_configs() {
        let child = r#""childPolicy": [{"round_robin": {}}]"#;
        for (fields, expected) in [
            ("", (30, 1.0, 10)),
            (
                r#""window": "5s", "aggression": 1.5, "minWeightPercent": 1,"#,
                (5, 1.5, 1),
            ),
            (r#""window": "0s", "minWeightPercent": 100,"#, (0, 1.0, 100)),
        ] {
            let json = format!("{{{fields}{child}}}");
            let build = good(SlowStart::NAME, &json, parse, &[]);
            let mut config = SlowStartConfig::default();
            config.window = Duration::from_secs(expected.0);
            (config.aggression, config.min_weight_percent) = (expected.1, expected.2);
            assert_eq!(*build.config(), config);
        }
        for (config, place, reason) in [
            ("{}", ".childPolicy", "required"),
            (r#"{"window": "30", CHILD}"#, ".window", r#""30s""#),
            (r#"{"window": "-30s", CHILD}"#, ".window", "negative"),
            (
                r#"{"aggression": 0, CHILD}"#,
                ".aggression",
                "0 is not above 0",
            ),
            (
                r#"{"aggression": -2.5, CHILD}"#,
                ".aggression",
                "not above 0",
            ),
            (
                r#"{"aggression": true, CHILD}"#,
                ".aggression",
                "not a number",
            ),
            (
                r#"{"minWeightPercent": 0, CHILD}"#,
                ".minWeightPercent",
                "from 1 to 100",
            ),
            (
                r#"{"minWeightPercent": 101, CHILD}"#,
                ".minWeightPercent",
                "from 1 to 100",
            ),
            (r#"{"childPolicy": {}}"#, ".childPolicy", "not a list"),
        ] {
            let config = config.replace("CHILD", child);
            bad(SlowStart::NAME, &config, place, reason);
        }
    }
}
