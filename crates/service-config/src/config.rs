use std::sync::Arc;

use evenkeel_policy::lb::PickFirst;
use evenkeel_policy::throttle::ThrottleConfig;

use crate::method::Settings;
use crate::names::Methods;
use crate::object::Object;
use crate::path::ROOT;
use crate::scope::Scope;
use crate::{
    ConfigError, Explanation, Field, LbConfig, MethodConfig, MethodExplanation, PolicyRegistry,
    Warning, document, retry,
};

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
    health_check_service_name: Option<String>,
    max_connections_per_subchannel: Option<u32>,
    warnings: Vec<Warning>,
}

/// How a service config is parsed.
///
/// ```
/// use evenkeel_service_config::ParseOptions;
///
/// let error = ParseOptions::strict().parse(r#"{"retryPolicy": {}}"#).unwrap_err();
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
    /// The defaults, but [strict](Self::strict): nothing is ignored in silence, nor with a warning.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            strict: true,
            ..Self::default()
        }
    }

    /// Parses a service config.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; then none of it counts.
    pub fn parse(&self, json: &str) -> Result<ServiceConfig, ConfigError> {
        let fields = document::parse(json)?;
        let scope = Scope::new(self);
        let mut document = Object::new(&fields, ROOT.to_owned(), &scope);
        let load_balancing = load_balancing(&mut document)?;
        let mut parts = Parts {
            methods: document
                .optional("methodConfig", methods)?
                .unwrap_or_default(),
            throttle: document
                .optional("retryThrottling", |field| field.object(retry::throttle))?,
            health_check_service_name: document
                .optional("healthCheckConfig", |field| {
                    health_check(field, &load_balancing)
                })?
                .flatten(),
            max_connections_per_subchannel: document
                .optional("connectionScaling", |field| field.object(scaling))?
                .flatten(),
            load_balancing,
            warnings: Vec::new(),
        };
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

fn health_check(field: Field<'_>, policy: &LbConfig) -> Result<Option<String>, ConfigError> {
    let service = field
        .clone()
        .object(|config| config.optional("serviceName", |field| Ok(field.text()?.to_owned())))?;
    if service.is_some() && only_picks_first(policy) {
        field.warn("no effect: pick_first does without health checks");
    }
    Ok(service)
}

/// Whether it comes to `pick_first`, whatever is around that.
fn only_picks_first(policy: &LbConfig) -> bool {
    match policy.children() {
        [] => policy.name() == PickFirst::NAME,
        children => children.iter().all(only_picks_first),
    }
}

fn scaling(config: &mut Object<'_>) -> Result<Option<u32>, ConfigError> {
    config.optional("maxConnectionsPerSubchannel", |field| {
        Ok(field.integer(0..=u32::MAX)?.max(1))
    })
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
            let settings = Settings::parse(entry)?;
            names
                .into_iter()
                .try_for_each(|name| methods.insert(name, &settings))
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
    /// It hashes nothing and allocates nothing (but once, for the first call that no entry names):
    /// call it as often as there are calls. Only for calls, as [`Self::unused_names`] goes by it.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        self.parts.methods.find(path)
    }

    /// `retryThrottling`.
    #[must_use]
    pub fn retry_throttling(&self) -> Option<ThrottleConfig> {
        self.parts.throttle
    }

    /// `healthCheckConfig.serviceName` (gRFC A17): what a server is asked about; `""` is the
    /// server as a whole, `None` asks nothing.
    #[must_use]
    pub fn health_check_service_name(&self) -> Option<&str> {
        self.parts.health_check_service_name.as_deref()
    }

    /// `connectionScaling.maxConnectionsPerSubchannel` (gRFC A105): at least 1, as which 0 counts;
    /// not limited by any cap of the channel.
    #[must_use]
    pub fn max_connections_per_subchannel(&self) -> Option<u32> {
        self.parts.max_connections_per_subchannel
    }

    /// The names in `methodConfig` that [no call](Self::method) has had so far: `UserServce`,
    /// `UserService/GetByld`. Clones share what was called, so ask when the channel has been used
    /// for a while; who asks at the start gets all of them.
    #[must_use]
    pub fn unused_names(&self) -> Vec<String> {
        let entries = self.parts.methods.entries().iter();
        entries
            .filter(|entry| entry.is_named() && !entry.is_called())
            .map(ToString::to_string)
            .collect()
    }

    /// All that is in force, what is not and why, and what looks like a mistake.
    ///
    /// ```
    /// use evenkeel_service_config::ServiceConfig;
    ///
    /// let config = ServiceConfig::parse(
    ///     r#"{"methodConfig": [{"name": [{"service": "UserServiceClient"}], "timeout": "1s"}]}"#,
    /// )?;
    /// let explanation = config.explain();
    /// assert_eq!(explanation.load_balancing.name, "pick_first");
    /// assert!(explanation.likely_mistakes[0].reason.contains("did you mean \"UserService\"?"));
    /// println!("{explanation}");
    /// # Ok::<(), evenkeel_service_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn explain(&self) -> Explanation {
        Explanation::of(self, &self.parts.methods)
    }

    /// What is in force for calls of one method, by the path of their requests; none when nothing
    /// is configured for them. Does not count as a call.
    ///
    /// ```
    /// use evenkeel_service_config::ServiceConfig;
    ///
    /// let config = ServiceConfig::parse(
    ///     r#"{"methodConfig": [{"name": [{"service": "user.UserService"}], "timeout": "1s"}]}"#,
    /// )?;
    /// let entry = config.explain_method("/user.UserService/GetById");
    /// assert_eq!(entry.expect("the service is named").name, "user.UserService");
    /// assert_eq!(config.explain_method("/shop.Shop/Buy"), None);
    /// # Ok::<(), evenkeel_service_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn explain_method(&self, path: &str) -> Option<MethodExplanation> {
        self.parts.methods.entry(path).map(MethodExplanation::of)
    }

    /// What is legal in it and has no effect, or not the one it seems to have.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.parts.warnings
    }
}

#[cfg(test)]
mod tests;
