//! The whole stack in one function.

use std::hash::Hash;

use evenkeel_balance::{
    Balance, BalanceLayer, ConnectLayer, EndpointLayer, Subchannel, SubchannelConfig,
};
use evenkeel_core::{BoxError, Endpoint};
use evenkeel_resilience::breaker::{Breaker, Classifier};
use evenkeel_resilience::probe::Probed;
use evenkeel_resilience::retry::Retry;
use evenkeel_resilience::{
    BreakerConfig, BreakerLayer, DeadlineLayer, FallbackRetry, MessageLimits, ProbeLayer,
    RetryConfig, RetryLayer,
};
use evenkeel_service_config::{LiveConfig, ServiceConfig};
use evenkeel_transport::Connect;
use tower::ServiceBuilder;
use tower::discover::Discover;

/// The service under a [`Channel`](crate::Channel): one call passes it from left to right.
pub type Stack<C> = Retry<Balanced<C>>;

/// The part of the stack that holds the endpoints.
pub(crate) type Balanced<C> = Balance<Guarded<C>>;

/// One endpoint, as the balancer has it.
pub(crate) type Guarded<C> = Breaker<Probed<Subchannel<C>>>;

/// How [`stack`] builds the layers that the service config does not speak of.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StackConfig {
    /// The breaker around each endpoint.
    pub breaker: BreakerConfig,
    /// What that breaker takes for failures, instead of those of its config.
    pub classifier: Option<Classifier>,
    /// How each endpoint is probed while it is connected. Default: not at all.
    pub probe: ProbeLayer,
    /// Retries of methods for which the service config has neither retries nor hedging.
    pub fallback_retry: Option<FallbackRetry>,
    /// What retries may buffer, and whether there are any.
    pub retry: RetryConfig,
    /// The longest messages, beside what the service config has.
    pub limits: MessageLimits,
    /// How each endpoint is connected to.
    pub subchannel: SubchannelConfig,
}

/// Builds what a channel is: deadline and retry, pick, breaker, probe, subchannel; top to bottom, the
/// way of a call.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn stack<D, C>(
    discover: D,
    connector: C,
    config: &ServiceConfig,
    options: &StackConfig,
) -> Stack<C>
where
    D: Discover<Service = Endpoint> + Unpin + Send + 'static,
    D::Key: Hash + Eq + Clone + Send + Unpin,
    D::Error: Into<BoxError>,
    C: Connect,
{
    let retry = RetryLayer::new(config).with_deadline(DeadlineLayer::new(config));
    layers(
        discover,
        connector,
        retry,
        &BalanceLayer::new(config),
        options,
    )
}

/// The same by a service config that may change: every layer follows it, and connections that the
/// new one wants stay.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn live_stack<D, C>(
    discover: D,
    connector: C,
    config: &LiveConfig,
    options: &StackConfig,
) -> Stack<C>
where
    D: Discover<Service = Endpoint> + Unpin + Send + 'static,
    D::Key: Hash + Eq + Clone + Send + Unpin,
    D::Error: Into<BoxError>,
    C: Connect,
{
    let retry = RetryLayer::live(config).with_deadline(DeadlineLayer::live(config));
    layers(
        discover,
        connector,
        retry,
        &BalanceLayer::live(config),
        options,
    )
}

fn layers<D, C>(
    discover: D,
    connector: C,
    retry: RetryLayer,
    balance: &BalanceLayer,
    options: &StackConfig,
) -> Stack<C>
where
    D: Discover<Service = Endpoint> + Unpin + Send + 'static,
    D::Key: Hash + Eq + Clone + Send + Unpin,
    D::Error: Into<BoxError>,
    C: Connect,
{
    let mut retry = retry.with_config(options.retry).with_limits(options.limits);
    if let Some(fallback) = &options.fallback_retry {
        retry = retry.with_fallback(fallback.clone());
    }
    let mut breaker = BreakerLayer::new(options.breaker);
    if let Some(classifier) = &options.classifier {
        breaker = breaker.classified_by(classifier.clone());
    }
    ServiceBuilder::new()
        .layer(retry)
        .layer(balance)
        .layer(EndpointLayer::new(breaker))
        .layer(EndpointLayer::new(options.probe.clone()))
        .layer(ConnectLayer::new(connector).with_config(options.subchannel.clone()))
        .service(discover)
}
