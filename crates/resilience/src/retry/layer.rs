use std::sync::Arc;

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::RetryPolicy;
use evenkeel_service_config::{LiveConfig, ServiceConfig};
use parking_lot::Mutex;
use tower_layer::Layer;

use super::Retry;
use super::replay::Budget;
use crate::DeadlineLayer;
use crate::fallback::FallbackRetry;
use crate::limits::MessageLimits;
use crate::lookup::{Lookup, Retries};
use crate::method::Again;
use crate::methods::Methods;
use crate::throttles::Throttles;

/// What a service config does not say about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RetryConfig {
    /// Whether retry and hedging policies are followed at all. Default true. What no server has
    /// seen is tried again in any case.
    pub enabled: bool,
    /// Whether the response of every call has an [`Answered`](evenkeel_core::Answered), also of those
    /// that took one attempt. Default false: it costs each call three allocations.
    pub name_endpoints: bool,
    /// How much of its request a call keeps for further attempts, in bytes. Default 256 KiB. A
    /// longer one is sent, but never again.
    pub call_buffer: usize,
    /// How much all calls together keep, in bytes. Default 16 MiB. Unary requests of up to 1 KiB
    /// do not count: the rest of their call is larger.
    pub channel_buffer: usize,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            name_endpoints: false,
            call_buffer: 256 * 1024,
            channel_buffer: 16 * 1024 * 1024,
        }
    }
}

/// Tries failed calls again; see the [module](super).
///
/// # Clone
///
/// The services of a layer and of its clones share one throttle and one buffer budget.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    methods: Methods<Again>,
    throttles: Arc<Throttles>,
    limits: MessageLimits,
    settings: Settings,
    fallback: Option<Arc<FallbackRetry>>,
    deadline: Option<DeadlineLayer>,
}

/// What the services of a layer have in common.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) config: RetryConfig,
    pub(super) budget: Arc<Budget>,
}

/// What the clones of a service have in common, and their calls.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) settings: Settings,
    /// What further attempts go to is cloned from here, so that a call that needs none clones
    /// nothing.
    prototype: Mutex<S>,
}

impl<S: Clone> Shared<S> {
    /// A service for the further attempts of a call.
    #[cold]
    pub(super) fn service(&self) -> S {
        self.prototype.lock().clone()
    }
}

impl RetryLayer {
    /// Retries and hedges as `config` has them per method, throttled by its `retryThrottling`, and messages
    /// up to its `maxRequestMessageBytes` and `maxResponseMessageBytes`.
    #[must_use]
    pub fn new(config: &ServiceConfig) -> Self {
        Self::of(Methods::Config(config.clone()))
    }

    /// The same by a config that may change: a call keeps what is configured when it starts, for
    /// its retries too. An update leaves the throttle as it is, or as full as it is if its
    /// parameters change.
    #[must_use]
    pub fn live(config: &LiveConfig) -> Self {
        Self::of(Methods::Live(config.clone()))
    }

    /// The same policy for every method; for channels without a service config whose methods may
    /// all be called twice.
    #[must_use]
    pub fn for_all(policy: RetryPolicy) -> Self {
        Self::of(Methods::All(Again::Retry(policy)))
    }

    /// The same hedging policy for every method; for channels without a service config whose
    /// methods may all be carried out more than once.
    #[must_use]
    pub fn hedge_all(policy: HedgingPolicy) -> Self {
        Self::of(Methods::All(Again::Hedge(policy)))
    }

    fn of(methods: Methods<Again>) -> Self {
        let config = RetryConfig::default();
        Self {
            throttles: Arc::new(Throttles::of(&methods, None)),
            methods,
            limits: MessageLimits::default(),
            settings: Settings {
                config,
                budget: Arc::new(Budget::new(config.channel_buffer)),
            },
            fallback: None,
            deadline: None,
        }
    }

    /// The same layer with other limits, and with a buffer budget of its own.
    #[must_use]
    pub fn with_config(mut self, config: RetryConfig) -> Self {
        self.settings.config = config;
        self.settings.budget = Arc::new(Budget::new(config.channel_buffer));
        self
    }

    /// The same layer with a policy for methods for which the config has neither retries nor
    /// hedging, but for those that it [excepts](FallbackRetry::except); all others may be called twice, then.
    /// The throttle is a new one.
    #[must_use]
    pub fn with_fallback(mut self, fallback: impl Into<FallbackRetry>) -> Self {
        let fallback = fallback.into();
        self.throttles = Arc::new(Throttles::of(&self.methods, fallback.throttle));
        self.fallback = Some(Arc::new(fallback));
        self
    }

    /// The same layer with limits for messages, beside those that the service config has.
    #[must_use]
    pub const fn with_limits(mut self, limits: MessageLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same layer with `deadline` around it: the services do what both do, and cost a call
    /// less than two, since it has one future and one body.
    #[must_use]
    pub fn with_deadline(mut self, deadline: DeadlineLayer) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        let shared = Shared {
            settings: self.settings.clone(),
            prototype: Mutex::new(inner.clone()),
        };
        let retries = Retries::new(
            &self.methods,
            &self.throttles,
            self.limits,
            self.settings.config.enabled,
        )
        .or(self.fallback.clone());
        let timeouts = self.deadline.as_ref().map(DeadlineLayer::methods);
        let lookup = Lookup::of_retries(retries, &self.methods, timeouts);
        Retry::new(inner, Arc::new(shared), lookup)
    }
}
