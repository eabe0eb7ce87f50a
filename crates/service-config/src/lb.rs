use std::fmt;
use std::sync::Arc;

use evenkeel_core::Policy;
use evenkeel_policy::lb::{PickFirst, PickFirstConfig};
use serde_json::{Map, Value};

use crate::field::shown;
use crate::object::taken_for;
use crate::scope::Scope;
use crate::suggest::near;
use crate::{BuildPolicy, ConfigError, Field, Object, PolicyFactory};

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
    reading: Arc<Reading>,
}

/// What became of a policy's config when it was read.
#[derive(Default)]
struct Reading {
    /// The list that the policy was chosen from, and the config's place in it.
    list: String,
    path: String,
    /// What was read of the config, under the names it was asked for by; without its children.
    effective: Map<String, Value>,
    /// The fields that were asked for and are not there, by their path within the config.
    unset: Vec<String>,
    children: Vec<LbConfig>,
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

    /// What builds the policy, and gives its config to one that runs.
    #[must_use]
    pub fn policy(&self) -> &dyn BuildPolicy {
        &*self.build
    }

    /// A policy for a channel.
    #[must_use]
    pub fn build(&self) -> Box<dyn Policy> {
        self.build.build()
    }

    /// The policies that its config has chosen for itself: `childPolicy`.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        &self.reading.children
    }

    /// Where its config is in the document.
    pub(crate) fn path(&self) -> &str {
        &self.reading.path
    }

    /// The list that it was chosen from.
    pub(crate) fn list(&self) -> &str {
        &self.reading.list
    }

    /// What its config says and the policy has read, under gRPC's names and without the children.
    pub(crate) fn effective(&self) -> &Map<String, Value> {
        &self.reading.effective
    }

    /// The fields that its config leaves at their defaults.
    pub(crate) fn unset(&self) -> &[String] {
        &self.reading.unset
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
            let Some(factory) = registry.find_or_any_case(name) else {
                skipped.push((name, config));
                continue;
            };
            for (name, config) in skipped {
                config.warn(format!("policy not known, skipped{}", hint(scope, name)));
            }
            if registry.find(name).is_none() {
                config.warn(taken_for(factory.name()));
            }
            let written = config.raw().clone();
            let path = list.path().to_owned();
            return config.object(|config| Self::read(factory, config, written, path));
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
        let written = Value::Object(Map::new());
        Self::read(factory, &mut config, written, String::new()).map_err(|error| {
            field.error(format!(
                "{name} needs a config, so write it in loadBalancingConfig ({}: {})",
                error.path, error.reason
            ))
        })
    }

    fn read(
        factory: &dyn PolicyFactory,
        config: &mut Object<'_>,
        written: Value,
        list: String,
    ) -> Result<Self, ConfigError> {
        let scope = config.scope();
        let (build, notes) = scope.policy(|| factory.parse(config))?;
        let effective = config.effective(&notes);
        let within = |path: &String| path.strip_prefix(config.path()).map(str::to_owned);
        let unset = notes.unset.iter().filter_map(within);
        let mut unset: Vec<_> = unset
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect();
        unset.dedup();
        Ok(Self {
            name: factory.name().into(),
            config: Arc::new(written),
            build,
            reading: Arc::new(Reading {
                list,
                path: config.path().to_owned(),
                effective,
                unset,
                children: notes.children,
            }),
        })
    }
}

/// What the writer of an unknown policy's name may have meant.
fn hint(scope: &Scope<'_>, name: &str) -> String {
    let registry = &scope.options.registry;
    near(name, registry.names())
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default()
}

/// The same policy with the same JSON, as it was written.
impl PartialEq for LbConfig {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.config == other.config
    }
}

impl Default for LbConfig {
    /// gRPC's: `pick_first`.
    fn default() -> Self {
        Self {
            name: PickFirst::NAME.into(),
            config: Arc::new(Value::Object(Map::new())),
            build: Arc::new(PickFirstConfig::default()),
            reading: Arc::default(),
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
