use std::sync::Arc;

use evenkeel_core::BuildPolicy;
use evenkeel_policy::lb::{
    MetadataRouting, MetadataRoutingBuilder, MetadataRoutingConfig, OnNoMatch, Route, RoutingStats,
};

use super::metadata_key::metadata_key;
use crate::{ConfigError, Field, Object, PolicyFactory};

/// Reads the config of `evenkeel.metadata_routing`.
///
/// The built-in one counts where nobody can see it; register your own to read its counters:
///
/// ```
/// use std::sync::Arc;
///
/// use evenkeel_policy::lb::RoutingStats;
/// use evenkeel_service_config::{MetadataRoutingFactory, PolicyRegistry, ServiceConfig};
///
/// let stats = Arc::new(RoutingStats::new());
/// let mut registry = PolicyRegistry::default();
/// registry.register(MetadataRoutingFactory::counting_in(stats.clone()));
///
/// let json = r#"{"loadBalancingConfig": [{"evenkeel.metadata_routing": {
///     "routes": [{"header": "x-version", "metadata": "version", "default": "v1"}],
///     "childPolicy": [{"round_robin": {}}]
/// }}]}"#;
/// let config = ServiceConfig::parse_with(json, &registry)?;
/// assert_eq!(stats.fallbacks(), 0);
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
///
/// # Clone
///
/// Clones count in the same place.
#[derive(Clone, Debug, Default)]
pub struct MetadataRoutingFactory {
    stats: Arc<RoutingStats>,
}

impl MetadataRoutingFactory {
    /// Its policies count in `stats`, those of all channels together.
    #[must_use]
    pub const fn counting_in(stats: Arc<RoutingStats>) -> Self {
        Self { stats }
    }

    fn read(&self, config: &mut Object<'_>) -> Result<MetadataRoutingBuilder, ConfigError> {
        let mut parsed = MetadataRoutingConfig::default();
        let mut place = None;
        parsed.routes = config.required("routes", |field| {
            place = Some(field.clone());
            field.items()?.into_iter().map(route).collect()
        })?;
        if let Some(on_no_match) = config.optional("onNoMatch", on_no_match)? {
            parsed.on_no_match = on_no_match;
        }
        if let Some(delay) = config.optional("failoverDelay", |field| field.duration())? {
            parsed.failover_delay = delay;
        }
        let child = config.required("childPolicy", |field| field.child_policy())?;
        MetadataRoutingBuilder::new(parsed, self.stats.clone(), child).map_err(|bad| match place {
            Some(field) => field.error(bad.to_string()),
            None => config.error(bad.to_string()),
        })
    }
}

impl PolicyFactory for MetadataRoutingFactory {
    fn name(&self) -> &str {
        MetadataRouting::NAME
    }

    fn parse(&self, config: &mut Object<'_>) -> Result<Arc<dyn BuildPolicy>, ConfigError> {
        Ok(Arc::new(self.read(config)?))
    }
}

fn route(field: Field<'_>) -> Result<Route, ConfigError> {
    field.object(|config| {
        let key = config.required("metadata", |field| {
            let name = text(field.clone())?;
            Ok(metadata_key(&name, |warning| field.warn(warning)))
        })?;
        let mut route = config.required("header", |field| {
            let header = field.clone().text()?;
            Route::named(header, key.name()).map_err(|bad| field.error(bad.to_string()))
        })?;
        route.default = config.optional("default", text)?;
        let fallbacks = |field: Field<'_>| field.items()?.into_iter().map(text).collect();
        if let Some(fallbacks) = config.optional("fallbacks", fallbacks)? {
            route.fallbacks = fallbacks;
        }
        if let Some(required) = config.optional("required", |field| field.boolean())? {
            route.required = required;
        }
        Ok(route)
    })
}

fn text(field: Field<'_>) -> Result<String, ConfigError> {
    match field.clone().text()? {
        "" => Err(field.error("it is empty")),
        text => Ok(text.to_owned()),
    }
}

fn on_no_match(field: Field<'_>) -> Result<OnNoMatch, ConfigError> {
    match field.clone().text()? {
        "any" => Ok(OnNoMatch::Any),
        "fail" => Ok(OnNoMatch::Fail),
        _ => Err(field.not(r#""any" or "fail""#)),
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::PickArgs;
    use evenkeel_core::{ConnectivityState::Ready, Pick};
    use evenkeel_policy::script::Script;

    use super::*;
    use crate::builtin::table::{bad, good};

    const CHILD: &str = r#""childPolicy": [{"round_robin": {}}]"#;

    fn read(config: &mut Object<'_>) -> Result<MetadataRoutingBuilder, ConfigError> {
        MetadataRoutingFactory::default().read(config)
    }

    /// Where a call goes that asks for `version` of v1 and v2.
    fn routed(fields: &str, route: &str, version: &str) -> Option<u64> {
        let json = format!(
            r#"{{"routes": [{{"header": "X-Version", "metadata": "version"{route}}}]{fields}, {CHILD}}}"#
        );
        let build = good(MetadataRouting::NAME, &json, read, &[]);
        let mut script = Script::new(&[Ready, Ready]);
        for (id, version) in [(0, "v1"), (1, "v2")] {
            script.describe(id, |metadata| metadata.version = Some(version.to_owned()));
        }
        if !version.is_empty() {
            script.header("x-version", version);
        }
        let picker = script.update(&mut *build.build()).picker;
        match picker.pick(&PickArgs::new("/s/m", &script.headers, 0)) {
            Pick::Endpoint(index) => Some(script.ids(&[index])[0]),
            _ => None,
        }
    }

    #[test]
    fn good_configs() {
        for (fields, route, version, expected) in [
            ("", "", "v1", Some(0)),
            ("", "", "v2", Some(1)),
            ("", "", "v3", None),
            ("", r#", "default": "v2""#, "", Some(1)),
            ("", r#", "fallbacks": ["v4", "v2"]"#, "v3", Some(1)),
            ("", r#", "fallbacks": []"#, "v3", None),
            (
                "",
                r#", "required": false, "fallbacks": ["v2"]"#,
                "v3",
                Some(1),
            ),
            (r#", "onNoMatch": "fail""#, "", "v3", None),
        ] {
            assert_eq!(
                routed(fields, route, version),
                expected,
                "{route} {version}"
            );
        }
        assert!(routed(r#", "onNoMatch": "any""#, "", "v3").is_some());
        assert!(routed("", r#", "required": false"#, "v3").is_some());
        assert!(routed(r#", "failoverDelay": "0s""#, "", "").is_some());
    }

    #[test]
    fn a_key_that_is_probably_spelled_wrong_is_warned_of() {
        let json =
            format!(r#"{{"routes": [{{"header": "x-version", "metadata": "Version"}}], {CHILD}}}"#);
        good(MetadataRouting::NAME, &json, read, &[".routes[0].metadata"]);
    }

    #[test]
    fn bad_configs() {
        for (json, place, reason) in [
            ("{CHILD}", ".routes", "required"),
            (r#"{"routes": [], CHILD}"#, ".routes", "no routes"),
            (
                r#"{"routes": [ROUTE, ROUTE, ROUTE, ROUTE, ROUTE], CHILD}"#,
                ".routes",
                "more than 4",
            ),
            (r#"{"routes": [ROUTE]}"#, ".childPolicy", "required"),
            (r#"{"routes": {}, CHILD}"#, ".routes", "not a list"),
            (
                r#"{"routes": [{"metadata": "zone"}], CHILD}"#,
                ".routes[0].header",
                "required",
            ),
            (
                r#"{"routes": [{"header": "x"}], CHILD}"#,
                ".routes[0].metadata",
                "required",
            ),
            (
                r#"{"routes": [{"header": "x y", "metadata": "zone"}], CHILD}"#,
                ".routes[0].header",
                "not the name of a header",
            ),
            (
                r#"{"routes": [{"header": "x-bin", "metadata": "zone"}], CHILD}"#,
                ".routes[0].header",
                "with a text",
            ),
            (
                r#"{"routes": [{"header": "x", "metadata": ""}], CHILD}"#,
                ".routes[0].metadata",
                "empty",
            ),
            (
                r#"{"routes": [{"header": "x", "metadata": "zone", "default": 1}], CHILD}"#,
                ".routes[0].default",
                "not a text",
            ),
            (
                r#"{"routes": [ROUTE, {"header": "x", "metadata": "zone", "fallbacks": ["a", ""]}], CHILD}"#,
                ".routes[1].fallbacks[1]",
                "empty",
            ),
            (
                r#"{"routes": [{"header": "x", "metadata": "zone", "required": 1}], CHILD}"#,
                ".routes[0].required",
                "true or false",
            ),
            (
                r#"{"routes": [ROUTE], "onNoMatch": "all", CHILD}"#,
                ".onNoMatch",
                r#""any" or "fail""#,
            ),
            (
                r#"{"routes": [ROUTE], "failoverDelay": "10", CHILD}"#,
                ".failoverDelay",
                "10s",
            ),
        ] {
            let json = json
                .replace("CHILD", CHILD)
                .replace("ROUTE", r#"{"header": "x", "metadata": "zone"}"#);
            bad(MetadataRouting::NAME, &json, place, reason);
        }
    }
}
