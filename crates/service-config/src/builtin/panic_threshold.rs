use evenkeel_policy::lb::{BuildWrapper, PanicThreshold, PanicThresholdConfig};

use crate::{ConfigError, Object};

pub(super) fn parse(config: &mut Object<'_>) -> Result<BuildWrapper<PanicThreshold>, ConfigError> {
    let mut parsed = PanicThresholdConfig::default();
    if let Some(percent) = config.optional("healthyPercent", |field| field.integer(0..=100))? {
        parsed.healthy_percent = percent;
    }
    let child = config.required("childPolicy", |field| field.child_policy())?;
    Ok(BuildWrapper::new(parsed, child))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::table::{bad, good};

    #[test]
    fn good_and_bad_configs() {
        let child = r#""childPolicy": [{"round_robin": {}}]"#;
        for (fields, healthy_percent) in [
            ("", 50),
            (r#""healthyPercent": 0,"#, 0),
            (r#""healthyPercent": 100,"#, 100),
        ] {
            let json = format!("{{{fields}{child}}}");
            let build = good(PanicThreshold::NAME, &json, parse, &[]);
            let mut expected = PanicThresholdConfig::default();
            expected.healthy_percent = healthy_percent;
            assert_eq!(*build.config(), expected);
        }
        for (config, place, reason) in [
            ("{}", ".childPolicy", "required"),
            (
                r#"{"healthyPercent": 101, CHILD}"#,
                ".healthyPercent",
                "from 0 to 100",
            ),
            (
                r#"{"healthyPercent": -1, CHILD}"#,
                ".healthyPercent",
                "from 0 to 100",
            ),
            (
                r#"{"healthyPercent": "50 %", CHILD}"#,
                ".healthyPercent",
                "not a number",
            ),
            (
                r#"{"childPolicy": [{"a": {}}]}"#,
                ".childPolicy",
                "known are",
            ),
        ] {
            let config = config.replace("CHILD", child);
            bad(PanicThreshold::NAME, &config, place, reason);
        }
    }
}
