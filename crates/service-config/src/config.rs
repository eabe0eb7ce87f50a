use std::cell::RefCell;
use std::sync::Arc;

use evenkeel_policy::throttle::ThrottleConfig;

use crate::names::Methods;
use crate::object::{Object, Scope};
use crate::path::ROOT;
use crate::{ConfigError, Field, LbConfig, MethodConfig, PolicyRegistry, Warning, document, retry};

/// A validated service config. The default is gRPC's: `pick_first`, and nothing for any method.
///
/// # Clone
///
/// Cheap: clones share it.
///
/// # Example
///
/// ```
/// use evenkeel_service_config::ServiceConfig;
///
/// let config = ServiceConfig::parse(
///     r#"{
///         "loadBalancingConfig": [{"round_robin": {}}],
///         "methodConfig": [{"name": [{"service": "UserService"}], "timeout": "1.5s"}]
///     }"#,
/// )?;
/// assert_eq!(config.load_balancing().name(), "round_robin");
/// let method = config.method("/UserService/GetById").expect("the service has an entry");
/// assert_eq!(method.timeout, Some(std::time::Duration::from_millis(1500)));
/// assert!(config.warnings().is_empty());
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServiceConfig {
    parts: Arc<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    load_balancing: LbConfig,
    methods: Methods,
    throttle: Option<ThrottleConfig>,
    warnings: Vec<Warning>,
}

/// How a service config is parsed.
///
/// ```
/// use evenkeel_service_config::ParseOptions;
///
/// let options = ParseOptions { strict: true, ..Default::default() };
/// let error = options.parse(r#"{"retryPolicy": {}}"#).unwrap_err();
/// assert_eq!(error.path, "$.retryPolicy");
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct ParseOptions {
    /// Refuses what would otherwise be a warning. Default: false, gRPC's rule.
    pub strict: bool,
    /// The most attempts of a call, the first included; a `maxAttempts` above it counts as this,
    /// with a warning. Default: 5, gRPC's; less than 2 counts as 2.
    pub max_attempts_cap: u32,
    /// The LB policies that may be named. Default: the built-in ones.
    pub registry: PolicyRegistry,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            strict: false,
            max_attempts_cap: 5,
            registry: PolicyRegistry::default(),
        }
    }
}

impl ParseOptions {
    /// Parses a service config.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; then none of it counts.
    pub fn parse(&self, json: &str) -> Result<ServiceConfig, ConfigError> {
        let fields = document::parse(json)?;
        let scope = Scope {
            options: self,
            warnings: RefCell::default(),
        };
        let mut document = Object::new(&fields, ROOT.to_owned(), &scope);
        let mut parts = Parts {
            load_balancing: load_balancing(&mut document)?,
            methods: document
                .optional("methodConfig", methods)?
                .unwrap_or_default(),
            throttle: document
                .optional("retryThrottling", |field| field.object(retry::throttle))?,
            warnings: Vec::new(),
        };
        document.unsupported("healthCheckConfig", |field| {
            field.clone().object(|config| {
                config
                    .optional("serviceName", |field| field.text())
                    .map(drop)
            })
        })?;
        document.unsupported("connectionScaling", |field| {
            field.clone().object(|config| {
                let count = |field: Field<'_>| field.integer(0..=u32::MAX);
                config
                    .optional("maxConnectionsPerSubchannel", count)
                    .map(drop)
            })
        })?;
        document.finish();
        parts.warnings = scope.warnings.into_inner();
        match parts.warnings.first() {
            Some(first) if self.strict => {
                Err(ConfigError::new(first.path.clone(), first.reason.clone()))
            }
            _ => Ok(ServiceConfig {
                parts: Arc::new(parts),
            }),
        }
    }
}

fn load_balancing(document: &mut Object<'_>) -> Result<LbConfig, ConfigError> {
    let chosen = document.optional("loadBalancingConfig", LbConfig::choose)?;
    let named = document.optional("loadBalancingPolicy", |field| {
        if chosen.is_some() {
            field.warn("ignored: loadBalancingConfig counts");
            return Ok(None);
        }
        LbConfig::named(field).map(Some)
    })?;
    Ok(chosen.or(named.flatten()).unwrap_or_default())
}

fn methods(list: Field<'_>) -> Result<Methods, ConfigError> {
    let mut methods = Methods::default();
    for entry in list.items()? {
        entry.object(|entry| {
            let names = entry
                .optional("name", |field| field.items())?
                .unwrap_or_default();
            if names.is_empty() {
                entry.warn("an entry without a name is for no method");
            }
            let config = Arc::new(MethodConfig::parse(entry)?);
            names
                .into_iter()
                .try_for_each(|name| methods.insert(name, &config))
        })?;
    }
    Ok(methods)
}

impl ServiceConfig {
    /// Parses a service config that may name the built-in LB policies.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; then none of it counts.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        ParseOptions::default().parse(json)
    }

    /// Parses a service config that may name the policies of `registry`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; then none of it counts.
    pub fn parse_with(json: &str, registry: &PolicyRegistry) -> Result<Self, ConfigError> {
        let registry = registry.clone();
        let options = ParseOptions {
            registry,
            ..ParseOptions::default()
        };
        options.parse(json)
    }

    /// The LB policy.
    #[must_use]
    pub fn load_balancing(&self) -> &LbConfig {
        &self.parts.load_balancing
    }

    /// What is configured for `path` (`/package.Service/Method`), most specific name first.
    ///
    /// It hashes and allocates nothing: call it as often as there are calls.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        self.parts.methods.find(path)
    }

    /// `retryThrottling`.
    #[must_use]
    pub fn retry_throttling(&self) -> Option<ThrottleConfig> {
        self.parts.throttle
    }

    /// What is legal in it and has no effect, or not the one it seems to have.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.parts.warnings
    }
}

#[cfg(test)]
mod tests;
