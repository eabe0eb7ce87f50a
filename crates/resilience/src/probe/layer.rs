use std::fmt;
use std::sync::Arc;

use evenkeel_policy::probe::ProbeConfig;
use tower_layer::Layer;

use super::shared::Shared;
use super::{Probe, Probed};

/// Probes each endpoint whose service it is given; see the [module](super). The default probes
/// none.
#[derive(Clone, Default)]
pub struct ProbeLayer {
    probe: Option<Arc<dyn Probe>>,
    config: ProbeConfig,
}

impl ProbeLayer {
    /// Probes by `probe`, each 10 s.
    #[must_use]
    pub fn new(probe: impl Probe) -> Self {
        Self {
            probe: Some(Arc::new(probe)),
            config: ProbeConfig::default(),
        }
    }

    /// The same with another [`ProbeConfig`].
    #[must_use]
    pub const fn with_config(mut self, config: ProbeConfig) -> Self {
        self.config = config;
        self
    }
}

impl<S> Layer<S> for ProbeLayer {
    type Service = Probed<S>;

    fn layer(&self, inner: S) -> Probed<S> {
        let shared = self.probe.as_ref().map(|probe| {
            let shared = Shared::new(probe.clone(), self.config);
            Arc::new(shared)
        });
        Probed::new(inner, shared)
    }
}

impl fmt::Debug for ProbeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeLayer")
            .field("probes", &self.probe.is_some())
            .field("config", &self.config)
            .finish()
    }
}
