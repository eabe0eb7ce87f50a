use evenkeel_policy::lb::{LocalityConfig, PriorityBuilder, Proximity};

use super::priority;
use crate::{ConfigError, Field, Object};

pub(super) fn parse(config: &mut Object<'_>) -> Result<PriorityBuilder, ConfigError> {
    let mut parsed = LocalityConfig::default();
    parsed.zone = config.optional("zone", place)?;
    parsed.region = config.optional("region", place)?;
    parsed.order = config.optional("order", |field| order(&field, &parsed))?;
    if parsed.zone.is_none() && parsed.region.is_none() {
        return Err(config.error("neither zone nor region says where this client is"));
    }
    priority::with_levels(config, parsed.levels())
}

fn place(field: Field<'_>) -> Result<String, ConfigError> {
    match field.clone().text()? {
        "" => Err(field.error("it is empty")),
        name => Ok(name.to_owned()),
    }
}

fn order(field: &Field<'_>, here: &LocalityConfig) -> Result<Vec<Proximity>, ConfigError> {
    let mut order: Vec<Proximity> = Vec::new();
    for level in field.clone().items()? {
        let (proximity, is_known) = match level.clone().text()? {
            "zone" => (Proximity::Zone, here.zone.is_some()),
            "region" => (Proximity::Region, here.region.is_some()),
            "any" => (Proximity::Any, true),
            _ => return Err(level.not(r#""zone", "region" or "any""#)),
        };
        if !is_known {
            let reason = "this needs the field of that name, which says where this client is";
            return Err(level.error(reason));
        }
        if order.last().is_some_and(|last| *last >= proximity) {
            let reason = r#"the nearest comes first, and each once: "zone", "region", "any""#;
            return Err(level.error(reason));
        }
        order.push(proximity);
    }
    match order.is_empty() {
        true => Err(field.error("there is no level")),
        false => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::Metadata;

    use super::*;
    use crate::builtin::table::{bad, good};

    const CHILD: &str = r#""childPolicy": [{"round_robin": {}}]"#;

    #[test]
    fn good_configs() {
        let mut near = Metadata::default();
        near.zone = Some("a".to_owned());
        near.region = Some("eu".to_owned());
        let mut regional = near.clone();
        regional.zone = Some("b".to_owned());
        let far = Metadata::default();
        for (fields, levels) in [
            (
                r#""zone": "a", "region": "eu","#,
                [Some(0), Some(1), Some(2)],
            ),
            (r#""zone": "a","#, [Some(0), Some(1), Some(1)]),
            (r#""region": "eu","#, [Some(0), Some(0), Some(1)]),
            (
                r#""zone": "a", "region": "eu", "order": ["zone", "any"],"#,
                [Some(0), Some(1), Some(1)],
            ),
            (r#""zone": "a", "order": ["zone"],"#, [Some(0), None, None]),
        ] {
            let json = format!(r#"{{{fields} "minHealthyPercent": 70, {CHILD}}}"#);
            let build = good(LocalityConfig::NAME, &json, parse, &[]);
            assert_eq!(build.config().min_healthy_percent, 70);
            let level = |metadata: &Metadata| build.levels().of(metadata);
            assert_eq!(
                [level(&near), level(&regional), level(&far)],
                levels,
                "{json}"
            );
        }
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            ("{CHILD}", "", "neither zone nor region"),
            (r#"{"zone": "", CHILD}"#, ".zone", "empty"),
            (r#"{"zone": 1, CHILD}"#, ".zone", "not a text"),
            (r#"{"region": ["eu"], CHILD}"#, ".region", "not a text"),
            (
                r#"{"zone": "a", "order": ["zone", "rack"], CHILD}"#,
                ".order[1]",
                r#""rack" is not "zone", "region" or "any""#,
            ),
            (
                r#"{"zone": "a", "order": ["region"], CHILD}"#,
                ".order[0]",
                "needs the field",
            ),
            (
                r#"{"zone": "a", "order": ["any", "zone"], CHILD}"#,
                ".order[1]",
                "nearest comes first",
            ),
            (
                r#"{"zone": "a", "order": ["zone", "zone"], CHILD}"#,
                ".order[1]",
                "each once",
            ),
            (r#"{"zone": "a", "order": [], CHILD}"#, ".order", "no level"),
            (
                r#"{"zone": "a", "minHealthyPercent": -1, CHILD}"#,
                ".minHealthyPercent",
                "0 to 100",
            ),
            (r#"{"zone": "a"}"#, ".childPolicy", "required"),
        ] {
            bad(
                LocalityConfig::NAME,
                &json.replace("CHILD", CHILD),
                place,
                reason,
            );
        }
    }
}
