use std::fmt;
use std::sync::Arc;

use evenkeel_core::Policy;
use evenkeel_policy::lb::PickFirst;
use serde_json::{Map, Value};

use crate::field::shown;
use crate::object::Scope;
use crate::suggest::near;
use crate::{BuildPolicy, ConfigError, Field, Object};

/// The LB policy that a service config has chosen. Cheap to clone.
///
/// # Specification
///
/// gRFC A24: of the policies in `loadBalancingConfig` the first that is supported counts; if its
/// own config is wrong, so is the whole service config, whatever comes after it.
#[derive(Clone)]
pub struct LbConfig {
    name: Arc<str>,
    config: Arc<Value>,
    build: Arc<dyn BuildPolicy>,
}

impl LbConfig {
    /// The policy's own name, whatever alias the service config called it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its config as it was written; `{}` when it was only named.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// A policy for a channel.
    #[must_use]
    pub fn build(&self) -> Box<dyn Policy> {
        self.build.build()
    }

    pub(crate) fn into_build(self) -> Arc<dyn BuildPolicy> {
        self.build
    }

    /// From the value of `loadBalancingConfig` or of a `childPolicy`.
    pub(crate) fn choose(list: Field<'_>) -> Result<Self, ConfigError> {
        let scope = list.scope();
        let registry = &scope.options.registry;
        let mut skipped = Vec::new();
        for entry in list.clone().items()? {
            let (name, config) = entry.only_field()?;
            let Some(factory) = registry.find(name) else {
                skipped.push((name, config));
                continue;
            };
            for (name, config) in skipped {
                config.warn(format!("policy not known, skipped{}", hint(scope, name)));
            }
            let written = Arc::new(config.raw().clone());
            let build = config.object(|config| factory.parse(config))?;
            return Ok(Self {
                name: factory.name().into(),
                config: written,
                build,
            });
        }
        let hints: String = skipped.iter().map(|(name, _)| hint(scope, name)).collect();
        let known: Vec<_> = registry.names().collect();
        Err(list.error(format!(
            "{} names no policy that is known{hints}; known are {}",
            shown(list.raw()),
            known.join(", ")
        )))
    }

    /// From the deprecated `loadBalancingPolicy`, which is a name and may be in upper case.
    pub(crate) fn named(field: Field<'_>) -> Result<Self, ConfigError> {
        let scope = field.scope();
        let name = field.clone().text()?;
        let Some(factory) = scope.options.registry.find_any_case(name) else {
            let hint = hint(scope, name);
            return Err(field.error(format!("no policy of this name is known{hint}")));
        };
        let empty = Map::new();
        let mut config = Object::new(&empty, field.path().to_owned(), scope);
        Ok(Self {
            name: factory.name().into(),
            config: Arc::new(Value::Object(Map::new())),
            build: factory.parse(&mut config)?,
        })
    }
}

/// What the writer of an unknown policy's name may have meant.
fn hint(scope: &Scope<'_>, name: &str) -> String {
    let registry = &scope.options.registry;
    if name == "weighted_round_robin" {
        return "; for the weights that servers register with, use \
                \"evenkeel.registered_weighted_round_robin\""
            .to_owned();
    }
    near(name, registry.names())
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default()
}

impl Default for LbConfig {
    /// gRPC's: `pick_first`.
    fn default() -> Self {
        Self {
            name: PickFirst::NAME.into(),
            config: Arc::new(Value::Object(Map::new())),
            build: Arc::new(PickFirst::default),
        }
    }
}

impl fmt::Debug for LbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LbConfig")
            .field("name", &self.name)
            .field("config", &format_args!("{}", self.config))
            .finish_non_exhaustive()
    }
}
