use std::time::Duration;

use evenkeel_service_config::{LiveConfig, ServiceConfig};
use tower_layer::Layer;

use super::Deadline;
use crate::lookup::Lookup;
use crate::methods::Methods;

/// Gives every call its deadline; see the [module](super).
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    methods: Methods<Duration>,
}

impl DeadlineLayer {
    /// Timeouts per method, as `config` has them. Callers may ask for less, never for more.
    #[must_use]
    pub fn new(config: &ServiceConfig) -> Self {
        Self {
            methods: Methods::Config(config.clone()),
        }
    }

    /// The same by a config that may change: a call has the timeout that is configured when it
    /// starts.
    #[must_use]
    pub fn live(config: &LiveConfig) -> Self {
        Self {
            methods: Methods::Live(config.clone()),
        }
    }

    /// The same timeout for every method; zero fails each call at once.
    #[must_use]
    pub const fn for_all(timeout: Duration) -> Self {
        Self {
            methods: Methods::All(timeout),
        }
    }

    /// Where its timeouts are.
    pub(crate) const fn methods(&self) -> &Methods<Duration> {
        &self.methods
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline::new(inner, Lookup::of_deadlines(&self.methods))
    }
}
