use std::sync::Arc;

use evenkeel_policy::breaker::BreakerConfig;
use tower_layer::Layer;

use super::Breaker;
use super::shared::Shared;

/// Puts a breaker around each service it is given; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct BreakerLayer {
    config: Arc<BreakerConfig>,
    name: Option<Arc<str>>,
}

impl BreakerLayer {
    /// Breakers that follow `config`.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config: Arc::new(config),
            name: None,
        }
    }

    /// What errors and logs call the service; for services that are not endpoints of a balancer,
    /// which have names of their own.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        let shared = Shared::new(self.config.clone(), self.name.clone());
        Breaker::new(inner, Arc::new(shared))
    }
}
