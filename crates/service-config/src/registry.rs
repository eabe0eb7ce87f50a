use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use evenkeel_core::BuildPolicy;

use crate::{ConfigError, Object, builtin};

/// The LB policies that a service config may name: the built-in ones and your own.
///
/// A value, not a process-wide table: two channels may know different policies.
///
/// # Clone
///
/// Cheap. A clone has the same policies; what is registered later in one does not show in the other.
///
/// # Example
///
/// A policy of your own, with a field of its own in the JSON:
///
/// ```
/// use std::{sync::Arc, time::Instant};
///
/// use evenkeel_core::{EndpointIndex, Pick, PickArgs, Picker, Policy, Update, View};
/// use evenkeel_policy::lb::petiole;
/// use evenkeel_service_config::{PolicyRegistry, ServiceConfig};
///
/// /// Sends each call to the READY endpoint at `position`, counted around.
/// struct Position(usize);
///
/// impl Policy for Position {
///     fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
///         petiole(view, |ready| Arc::new(Only(ready[self.0 % ready.len()].0)))
///     }
/// }
///
/// #[derive(Debug)]
/// struct Only(EndpointIndex);
///
/// impl Picker for Only {
///     fn pick(&self, _: &PickArgs<'_>) -> Pick {
///         Pick::Endpoint(self.0)
///     }
/// }
///
/// let mut registry = PolicyRegistry::default();
/// registry.register_fn("acme.position", |config| {
///     let position = config.required("position", |field| field.integer(0..=99))? as usize;
///     Ok(move || Position(position))
/// });
///
/// let json = r#"{"loadBalancingConfig": [{"acme.position": {"position": 2}}]}"#;
/// let config = ServiceConfig::parse_with(json, &registry)?;
/// assert_eq!(config.load_balancing().name(), "acme.position");
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PolicyRegistry {
    factories: Arc<BTreeMap<String, Arc<dyn PolicyFactory>>>,
}

/// Knows one LB policy by its name, and reads its config.
pub trait PolicyFactory: Send + Sync + 'static {
    /// Its name in a service config.
    fn name(&self) -> &str;

    /// Other names it goes by.
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// Reads its config, `{}` when it has none. What it does not ask `config` for becomes a warning.
    ///
    /// # Errors
    ///
    /// The config is wrong: then the whole service config is.
    fn parse(&self, config: &mut Object<'_>) -> Result<Arc<dyn BuildPolicy>, ConfigError>;
}

impl Default for PolicyRegistry {
    /// The policies of [`evenkeel_policy::lb`].
    fn default() -> Self {
        let mut registry = Self::empty();
        builtin::register(&mut registry);
        registry
    }
}

impl PolicyRegistry {
    /// No policies at all, not even gRPC's.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            factories: Arc::default(),
        }
    }

    /// Adds a policy under its name and its aliases; it takes the place of those that had them.
    pub fn register(&mut self, factory: impl PolicyFactory) -> &mut Self {
        let factory: Arc<dyn PolicyFactory> = Arc::new(factory);
        let factories = Arc::make_mut(&mut self.factories);
        for name in [factory.name()].iter().chain(factory.aliases()) {
            factories.insert((*name).to_owned(), factory.clone());
        }
        self
    }

    /// Adds a policy whose config `parse` reads; see the example above.
    pub fn register_fn<B: BuildPolicy>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&mut Object<'_>) -> Result<B, ConfigError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.register(FnFactory {
            name,
            aliases: &[],
            parse,
        })
    }

    pub(crate) fn register_aliased<B: BuildPolicy>(
        &mut self,
        name: &'static str,
        aliases: &'static [&'static str],
        parse: impl Fn(&mut Object<'_>) -> Result<B, ConfigError> + Send + Sync + 'static,
    ) {
        self.register(FnFactory {
            name,
            aliases,
            parse,
        });
    }

    /// The names and aliases it knows, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&dyn PolicyFactory> {
        self.factories.get(name).map(|factory| &**factory)
    }

    /// As [`Self::find`]; else, as Go has it, the one whose name differs only in case.
    pub(crate) fn find_or_any_case(&self, name: &str) -> Option<&dyn PolicyFactory> {
        self.find(name).or_else(|| self.find_any_case(name))
    }

    /// As [`Self::find`], for the spelling of an enum: `ROUND_ROBIN`.
    pub(crate) fn find_any_case(&self, name: &str) -> Option<&dyn PolicyFactory> {
        let mut all = self.factories.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, factory)| &**factory)
    }
}

impl fmt::Debug for PolicyRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyRegistry")
            .field(&self.factories.keys())
            .finish()
    }
}

struct FnFactory<F> {
    name: &'static str,
    aliases: &'static [&'static str],
    parse: F,
}

impl<F, B> PolicyFactory for FnFactory<F>
where
    F: Fn(&mut Object<'_>) -> Result<B, ConfigError> + Send + Sync + 'static,
    B: BuildPolicy,
{
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    fn parse(&self, config: &mut Object<'_>) -> Result<Arc<dyn BuildPolicy>, ConfigError> {
        Ok(Arc::new((self.parse)(config)?))
    }
}

#[cfg(test)]
mod tests;
