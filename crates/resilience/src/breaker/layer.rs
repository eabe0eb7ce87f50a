use std::sync::Arc;

use evenkeel_policy::breaker::BreakerConfig;
use tower_layer::Layer;

use super::shared::Shared;
use super::{Breaker, Classifier};

/// Puts a breaker around each service it is given; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct BreakerLayer {
    config: Arc<BreakerConfig>,
    classifier: Option<Classifier>,
    name: Option<Arc<str>>,
}

impl BreakerLayer {
    /// Breakers that follow `config`.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config: Arc::new(config),
            classifier: None,
            name: None,
        }
    }

    /// Has `classifier` say which failures count, instead of the config's
    /// [`failures`](BreakerConfig::failures).
    #[must_use]
    pub fn classified_by(mut self, classifier: Classifier) -> Self {
        self.classifier = Some(classifier);
        self
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
        let shared = Shared::new(
            self.config.clone(),
            self.classifier.clone(),
            self.name.clone(),
        );
        Breaker::new(inner, Arc::new(shared))
    }
}
