//! Client-side discovery, load balancing, failover and circuit breaking for tonic.
//!
//! A [`Channel`] takes the place of `tonic::transport::Channel` under a generated client. It finds
//! its servers in etcd (or wherever a [`Discover`](tower::discover::Discover) stream comes from),
//! balances and retries by gRPC's service config, and keeps calls away from servers that fail.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use evenkeel::Channel;
//!
//! let channel = Channel::builder("etcd:///user-service")
//!     .service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
//!     .build()?;
//! // let mut client = UserServiceClient::new(channel.clone());
//! println!("{}", channel.state());
//! # Ok(())
//! # }
//! ```
//!
//! It is nothing but layers, in one function: [`stack()`]. Each of them can be used alone:
//! [`DeadlineLayer`], [`RetryLayer`] and [`BreakerLayer`] also around a plain tonic `Channel`, the
//! others over any discover stream.
//!
//! # Not here
//!
//! Servers (beyond registering them), xDS, and anything but HTTP/2.

mod builder;
mod channel;
mod error;
mod resolve;
mod source;
mod stack;
mod watch;

pub use builder::ChannelBuilder;
pub use channel::{Channel, ResponseBody, ResponseFuture};
pub use error::BuildError;
#[cfg(feature = "etcd")]
pub use source::EtcdSource;
pub use stack::{Stack, StackConfig, live_stack, stack};

pub use evenkeel_balance::{
    BalanceLayer, ConnectLayer, EndpointLayer, EndpointReport, SubchannelConfig,
};
pub use evenkeel_core::{
    Address, Answered, Availability, BreakerState, ConnectivityState, Endpoint, EndpointId,
    EndpointStats, Metadata, Target, WaitForReady, error as errors,
};
// What a custom LB policy is made of.
pub use evenkeel_core::{
    Discovery, EndpointIndex, EndpointView, Pick, PickArgs, Picker, Policy, Update, View,
};
pub use evenkeel_discover as discover;
#[cfg(feature = "dns")]
pub use evenkeel_discover::DnsConfig;
pub use evenkeel_discover::{MemoryRegistry, Registrars, Serve, ServeConfig};
#[cfg(feature = "etcd")]
pub use evenkeel_etcd as etcd;
pub use evenkeel_policy as policy;
pub use evenkeel_policy::backoff::BackoffConfig;
pub use evenkeel_resilience as resilience;
pub use evenkeel_resilience::{
    AdaptiveConfig, BreakerConfig, BreakerHandle, BreakerLayer, BreakerStatus, DeadlineLayer,
    ErrorClass, FailoverConfig, FailureRatioConfig, FallbackRetry, HttpProbe, InvalidMethodName,
    MessageLimits, MethodName, ProbeConfig, ProbeLayer, RetryConfig, RetryLayer, TcpProbe,
    ThrottleConfig,
};
pub use evenkeel_service_config as service_config;
pub use evenkeel_service_config::{
    ConfigError, LiveConfig, ParseOptions, PolicyRegistry, ServiceConfig,
};
pub use evenkeel_transport as transport;
pub use evenkeel_transport::{Connect, Connector, Http2Config};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/health.md")]
struct Health;

#[cfg(all(doctest, feature = "etcd"))]
#[doc = include_str!("../../../docs/discovery.md")]
struct DiscoveryPage;

#[cfg(all(doctest, feature = "etcd", feature = "signal"))]
#[doc = include_str!("../../../docs/registration.md")]
struct Registration;
