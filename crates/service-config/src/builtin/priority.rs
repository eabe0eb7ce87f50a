use evenkeel_policy::lb::{Levels, PriorityBuilder, PriorityConfig, Selector};

use super::metadata_key::metadata_key;
use crate::{ConfigError, Field, Object, path};

pub(super) fn parse(config: &mut Object<'_>) -> Result<PriorityBuilder, ConfigError> {
    let levels = config.required("levels", levels)?;
    with_levels(config, levels)
}

/// The rest of the config, which policies have in common that make levels of something.
pub(super) fn with_levels(
    config: &mut Object<'_>,
    levels: Levels,
) -> Result<PriorityBuilder, ConfigError> {
    let mut parsed = PriorityConfig::default();
    if let Some(percent) = config.optional("minHealthyPercent", |field| field.integer(0..=100))? {
        parsed.min_healthy_percent = percent;
    }
    if let Some(delay) = config.optional("failoverDelay", |field| field.duration())? {
        parsed.failover_delay = delay;
    }
    if let Some(warm) = config.optional("warm", |field| field.boolean())? {
        parsed.warm = warm;
    }
    let child = config.required("childPolicy", |field| field.child_policy())?;
    Ok(PriorityBuilder::new(parsed, levels, child))
}

fn levels(field: Field<'_>) -> Result<Levels, ConfigError> {
    let mut selectors: Vec<Selector> = Vec::new();
    for level in field.clone().items()? {
        if selectors
            .last()
            .is_some_and(|last| *last == Selector::default())
        {
            let reason = "the level before has all endpoints, so this one gets none";
            return Err(level.error(reason));
        }
        let selector = level.object(|level| level.optional("metadata", selector))?;
        selectors.push(selector.unwrap_or_default());
    }
    if selectors.is_empty() {
        return Err(field.error("there is no level"));
    }
    Ok(Levels::first_of(selectors))
}

fn selector(field: Field<'_>) -> Result<Selector, ConfigError> {
    field.object(|object| {
        let mut selector = Selector::default();
        for (key, value) in object.raw() {
            let Some(value) = value.as_str() else {
                let place = path::field(object.path(), key);
                return Err(ConfigError::new(place, format!("{value} is not a text")));
            };
            let place = path::field(object.path(), key);
            let key = metadata_key(key, |warning| object.scope().warn(place, warning));
            selector = selector.and(key, value);
        }
        Ok(selector)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel_core::Metadata;
    use evenkeel_policy::lb::Priority;

    use super::*;
    use crate::builtin::table::{bad, good};

    const CHILD: &str = r#""childPolicy": [{"round_robin": {}}]"#;

    #[test]
    fn good_configs() {
        for (fields, expected) in [
            ("", (1, 10, true)),
            (
                r#""minHealthyPercent": 70, "failoverDelay": "1s", "warm": false,"#,
                (70, 1, false),
            ),
            (
                r#""minHealthyPercent": 0, "failoverDelay": "0s","#,
                (0, 0, true),
            ),
        ] {
            let json = format!(r#"{{"levels": [{{}}], {fields} {CHILD}}}"#);
            let build = good(Priority::NAME, &json, parse, &[]);
            let config = build.config();
            let delay = Duration::from_secs(expected.1);
            assert_eq!(
                (
                    config.min_healthy_percent,
                    config.failover_delay,
                    config.warm
                ),
                (expected.0, delay, expected.2)
            );
        }
    }

    #[test]
    fn an_endpoint_is_in_the_first_level_that_it_matches() {
        let json = format!(
            r#"{{"levels": [
                {{"metadata": {{"zone": "a", "rack": "7"}}}},
                {{"metadata": {{"tag": "backup"}}}},
                {{}}
            ], {CHILD}}}"#
        );
        let build = good(Priority::NAME, &json, parse, &[]);
        let mut metadata = Metadata::default();
        let level = |metadata: &_| build.levels().of(metadata);
        assert_eq!(level(&metadata), Some(2));
        metadata.tags.push("backup".to_owned());
        assert_eq!(level(&metadata), Some(1));
        metadata.zone = Some("a".to_owned());
        assert_eq!(level(&metadata), Some(1));
        metadata.other.insert("rack".to_owned(), "7".to_owned());
        assert_eq!(level(&metadata), Some(0));
    }

    #[test]
    fn a_key_that_is_probably_spelled_wrong_is_warned_of() {
        let json =
            format!(r#"{{"levels": [{{"metadata": {{"Zone": "a", "rack": "7"}}}}], {CHILD}}}"#);
        good(Priority::NAME, &json, parse, &[".levels[0].metadata.Zone"]);
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            ("{CHILD}", ".levels", "required"),
            (r#"{"levels": [], CHILD}"#, ".levels", "no level"),
            (r#"{"levels": {}, CHILD}"#, ".levels", "not a list"),
            (r#"{"levels": ["a"], CHILD}"#, ".levels[0]", "not an object"),
            (r#"{"levels": [{}, {}], CHILD}"#, ".levels[1]", "gets none"),
            (
                r#"{"levels": [{"metadata": "a"}], CHILD}"#,
                ".levels[0].metadata",
                "not an object",
            ),
            (
                r#"{"levels": [{"metadata": {"zone": 1}}], CHILD}"#,
                ".levels[0].metadata.zone",
                "1 is not a text",
            ),
            (
                r#"{"levels": [{}], "minHealthyPercent": 101, CHILD}"#,
                ".minHealthyPercent",
                "from 0 to 100",
            ),
            (
                r#"{"levels": [{}], "failoverDelay": 10, CHILD}"#,
                ".failoverDelay",
                "",
            ),
            (r#"{"levels": [{}], "warm": "yes", CHILD}"#, ".warm", "true"),
            (r#"{"levels": [{}]}"#, ".childPolicy", "required"),
        ] {
            bad(Priority::NAME, &json.replace("CHILD", CHILD), place, reason);
        }
    }
}
