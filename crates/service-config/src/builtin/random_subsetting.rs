use evenkeel_policy::lb::RandomSubsettingConfig;

use crate::{ConfigError, Object};

pub(super) fn parse(config: &mut Object<'_>) -> Result<RandomSubsettingConfig, ConfigError> {
    let size = config.required("subsetSize", |field| field.integer(1..=u32::MAX))?;
    let child = config.required("childPolicy", |field| field.child_policy())?;
    Ok(RandomSubsettingConfig::new(size, child))
}

#[cfg(test)]
mod tests {
    use super::super::table::{bad, good};
    use super::*;

    const NAME: &str = "random_subsetting_experimental";

    #[test]
    fn good_configs() {
        for (json, size, warnings) in [
            (
                r#"{"subsetSize": 1, "childPolicy": [{"round_robin": {}}]}"#,
                1,
                &[][..],
            ),
            (
                r#"{"subsetSize": 4294967295, "childPolicy": [{"acme": {}}, {"pick_first": {}}]}"#,
                u32::MAX,
                &[".childPolicy[0].acme"],
            ),
        ] {
            let parsed = good(NAME, json, parse, warnings);
            assert_eq!(parsed.subset_size, size, "{json}");
        }
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            (
                r#"{"childPolicy": [{"round_robin": {}}]}"#,
                ".subsetSize",
                "required",
            ),
            (
                r#"{"subsetSize": 0, "childPolicy": [{"round_robin": {}}]}"#,
                ".subsetSize",
                "at least 1",
            ),
            (
                r#"{"subsetSize": 1.5, "childPolicy": [{"round_robin": {}}]}"#,
                ".subsetSize",
                "whole number",
            ),
            (r#"{"subsetSize": 3}"#, ".childPolicy", "required"),
            (
                r#"{"subsetSize": 3, "childPolicy": []}"#,
                ".childPolicy",
                "no policy",
            ),
            (
                r#"{"subsetSize": 3, "childPolicy": [{"acme": {}}]}"#,
                ".childPolicy",
                "no policy",
            ),
            (
                r#"{"subsetSize": 3, "childPolicy": {"round_robin": {}}}"#,
                ".childPolicy",
                "not a list",
            ),
        ] {
            bad(NAME, json, place, reason);
        }
    }
}
