//! Reads a policy's config as part of a whole service config, for tables of good and bad ones.

use std::sync::{Arc, OnceLock};

use crate::{BuildPolicy, ConfigError, Object, PolicyRegistry, ServiceConfig};

/// What `parse` makes of `json`; `warnings` are the places, within it, that are warned of.
pub(super) fn good<C: BuildPolicy + Clone>(
    name: &'static str,
    json: &str,
    parse: fn(&mut Object<'_>) -> Result<C, ConfigError>,
    warnings: &[&str],
) -> C {
    let parsed = Arc::new(OnceLock::new());
    let slot = parsed.clone();
    let mut registry = PolicyRegistry::default();
    registry.register_fn(name, move |config| {
        let parsed = parse(config)?;
        Ok(slot.get_or_init(|| parsed).clone())
    });
    let config = ServiceConfig::parse_with(&document(name, json), &registry)
        .unwrap_or_else(|error| panic!("{json}: {error}"));
    let warned = config.warnings().iter().map(|warning| {
        let place = warning.path.strip_prefix(&root(name));
        place.unwrap_or(&warning.path).to_owned()
    });
    assert_eq!(warned.collect::<Vec<_>>(), warnings, "{json}");
    drop(config.load_balancing().build());
    parsed.get().expect("it was read").clone()
}

/// `json` is refused at `place` by what is registered under `name`.
pub(super) fn bad(name: &'static str, json: &str, place: &str, reason: &str) {
    let error = ServiceConfig::parse(&document(name, json)).expect_err(json);
    assert_eq!(error.path, format!("{}{place}", root(name)), "{json}");
    assert!(error.reason.contains(reason), "{json}: {}", error.reason);
}

fn document(name: &str, json: &str) -> String {
    format!(r#"{{"loadBalancingConfig": [{{{name:?}: {json}}}]}}"#)
}

fn root(name: &str) -> String {
    crate::path::field("$.loadBalancingConfig[0]", name)
}
