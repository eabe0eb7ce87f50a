use std::fmt;
use std::hash::Hash;

use evenkeel_balance::SubchannelConfig;
use evenkeel_core::{BoxError, Endpoint, Target};
use evenkeel_discover::MemoryRegistry;
use evenkeel_policy::backoff::BackoffConfig;
use evenkeel_resilience::breaker::Classifier;
use evenkeel_resilience::{BreakerConfig, FailoverConfig, MessageLimits, ProbeLayer, RetryConfig};
use evenkeel_service_config::{LiveConfig, ParseOptions, PolicyRegistry, ServiceConfig};
use evenkeel_transport::{Connect, Connector};
use http::uri::Authority;
use tower::discover::Discover;

#[cfg(feature = "etcd")]
use crate::source::EtcdSource;
use crate::source::Sources;
use crate::{BuildError, Channel, Stack, StackConfig, live_stack};

/// Says what a [`Channel`] is made of; [`Channel::builder`] starts one.
///
/// Everything has a default but the target. Nothing is checked, and nothing starts, before
/// [`Self::build`].
#[must_use = "a builder does nothing until `build`"]
pub struct ChannelBuilder<C: Connect = Connector> {
    target: String,
    sources: Sources,
    discover: Option<Start<C>>,
    config: Config,
    parse: ParseOptions,
    options: StackConfig,
    authority: Option<String>,
    connector: C,
    /// Gives the connector the channel's authority, if it takes one.
    name: fn(C, Authority, bool) -> C,
}

type Start<C> = Box<dyn FnOnce(C, &LiveConfig, &StackConfig) -> Stack<C> + Send>;

enum Config {
    Text(String),
    Parsed(ServiceConfig),
    Live(LiveConfig),
}

impl ChannelBuilder {
    pub(crate) fn new(target: &str) -> Self {
        let mut builder = Self::by(target, Connector::new());
        builder.name = |connector, authority, chosen| {
            if chosen || connector.authority().is_none() {
                connector.with_authority(authority)
            } else {
                connector
            }
        };
        builder
    }

    /// How to connect: HTTP/2 settings, keepalive, TLS, user agent. Default [`Connector::new`]:
    /// plain text, no keepalive.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }
}

impl<C: Connect> ChannelBuilder<C> {
    pub(crate) fn by(target: &str, connector: C) -> Self {
        Self {
            target: target.to_owned(),
            sources: Sources::default(),
            discover: None,
            config: Config::Parsed(ServiceConfig::default()),
            parse: ParseOptions::default(),
            options: StackConfig::default(),
            authority: None,
            connector,
            name: |connector, _, _| connector,
        }
    }

    /// The service config, as JSON: LB policy, timeouts, retries. Default `{}`: pick_first and
    /// nothing else. Checked by [`Self::build`], which logs what is ignored in it as warnings.
    pub fn service_config(mut self, json: impl Into<String>) -> Self {
        self.config = Config::Text(json.into());
        self
    }

    /// The service config, parsed.
    pub fn service_config_value(mut self, config: ServiceConfig) -> Self {
        self.config = Config::Parsed(config);
        self
    }

    /// A service config that someone else updates; channels may share one. Refused updates are told
    /// to whoever makes them, and [`Self::policies`] and [`Self::parse_options`] do not count: it has
    /// its own.
    pub fn live_config(mut self, config: LiveConfig) -> Self {
        self.config = Config::Live(config);
        self
    }

    /// The LB policies that the service config's JSON may name. Default: the built-in ones.
    pub fn policies(mut self, policies: PolicyRegistry) -> Self {
        self.parse.registry = policies;
        self
    }

    /// How the service config's JSON is read, that of updates included: whether what gRPC ignores silently is an error, and
    /// how many attempts a call may have. Also sets [`Self::policies`].
    pub fn parse_options(mut self, options: ParseOptions) -> Self {
        self.parse = options;
        self
    }

    /// Where `memory:///` targets find their endpoints.
    pub fn registry(mut self, registry: &MemoryRegistry) -> Self {
        self.sources.registry = Some(registry.clone());
        self
    }

    /// How to reach etcd: an [`EtcdConfig`](evenkeel_etcd::EtcdConfig), or an
    /// [`Etcd`](evenkeel_etcd::Etcd). Channels with clones of one `Etcd` share its connection, and those
    /// of one service a single watch, and [`Etcd::discover_stats`](evenkeel_etcd::Etcd::discover_stats)
    /// tells how it is doing. Default: the target's authority, or else a local etcd.
    #[cfg(feature = "etcd")]
    pub fn etcd(mut self, etcd: impl Into<EtcdSource>) -> Self {
        self.sources.etcd = Some(etcd.into());
        self
    }

    /// How names are looked up for `dns` targets. Default: every setting as in
    /// [`DnsConfig`](evenkeel_discover::DnsConfig), which asks the system's DNS servers; the target's
    /// authority comes before both.
    #[cfg(feature = "dns")]
    pub fn dns(mut self, config: evenkeel_discover::DnsConfig) -> Self {
        self.sources.dns = Some(config);
        self
    }

    /// Finds endpoints in `discover` instead of where the target's scheme says. Its errors are
    /// reports, not ends: the endpoints stay, and calls that find none say why.
    pub fn discover<D>(mut self, discover: D) -> Self
    where
        D: Discover<Service = Endpoint> + Unpin + Send + 'static,
        D::Key: Hash + Eq + Clone + Send + Unpin,
        D::Error: Into<BoxError>,
    {
        self.discover = Some(Box::new(move |connector, config, options| {
            live_stack(discover, connector, config, options)
        }));
        self
    }

    /// The breaker around each endpoint. Default [`BreakerConfig::default`];
    /// [`BreakerConfig::disabled`] for none.
    pub fn breaker(mut self, config: BreakerConfig) -> Self {
        self.options.breaker = config;
        self
    }

    /// How each endpoint is probed while it is connected, for servers that have no gRPC health service.
    /// Default: not at all.
    pub fn probe(mut self, probe: ProbeLayer) -> Self {
        self.options.probe = probe;
        self
    }

    /// Whether every response says which endpoint it comes from: its extensions then have an
    /// [`Answered`](evenkeel_core::Answered). Default false: it costs each call three allocations,
    /// and a response that took more than one attempt has one in any case.
    pub fn name_endpoints(mut self, name_endpoints: bool) -> Self {
        self.options.retry.name_endpoints = name_endpoints;
        self
    }

    /// What the breakers take for failures. Default: the codes of their config.
    pub fn breaker_classifier(mut self, classifier: Classifier) -> Self {
        self.options.classifier = Some(classifier);
        self
    }

    /// Retries and breakers by the failover settings of other frameworks. Replaces
    /// [`Self::breaker`]; the retries are for methods for which the service config has none, but
    /// for those that are [excepted](FailoverConfig::except).
    pub fn failover(mut self, config: FailoverConfig) -> Self {
        self.options.breaker = config.breaker();
        self.options.fallback_retry = config.fallback_retry();
        self
    }

    /// What retries may buffer, and whether there are any. Default [`RetryConfig::default`].
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.options.retry = config;
        self
    }

    /// The longest messages. Default: those of the service config, and of tonic's client.
    pub fn message_limits(mut self, limits: MessageLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Delays between connection attempts. Default: gRPC's, from 1 s to 120 s.
    pub fn backoff(mut self, config: BackoffConfig) -> Self {
        self.options.subchannel.backoff = config;
        self
    }

    /// Whether servers are asked for their health where the service config says so
    /// (`healthCheckConfig`, gRFC A17). Default: true.
    pub fn health_checks(mut self, health_checks: bool) -> Self {
        self.options.subchannel.health_checks = health_checks;
        self
    }

    /// How many connections to one endpoint the service config may ask for
    /// (`connectionScaling.maxConnectionsPerSubchannel`, gRFC A105); more counts as this. Default: 10; at
    /// least 1.
    pub fn max_connections_per_subchannel(mut self, limit: u32) -> Self {
        self.options.subchannel.connection_limit = limit;
        self
    }

    /// How endpoints are connected to; includes [`Self::backoff`] and [`Self::health_checks`].
    pub fn subchannel(mut self, config: SubchannelConfig) -> Self {
        self.options.subchannel = config;
        self
    }

    /// The `:authority` of calls, and the name that TLS certificates must have. Default: the
    /// connector's own, or else the target's service name (`user-service` for
    /// `etcd:///user-service`).
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Builds the channel and starts discovering and connecting.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; nothing has been started then.
    pub fn build(self) -> Result<Channel<C>, BuildError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BuildError::NoRuntime);
        }
        let target: Target = self.target.parse()?;
        let config = match self.config {
            Config::Text(json) => {
                let config = self.parse.parse(&json)?;
                LiveConfig::new(Some(config), self.parse)
            }
            Config::Parsed(config) => LiveConfig::new(Some(config), self.parse),
            Config::Live(config) => config,
        };
        for warning in config.current().warnings() {
            tracing::warn!(%target, "service config: {warning}");
        }
        let chosen = self.authority.is_some();
        let authority = self.authority.unwrap_or_else(|| target.service_authority());
        let authority = Authority::try_from(authority.as_str())
            .map_err(|source| BuildError::Authority { authority, source })?;
        let connector = (self.name)(self.connector, authority, chosen);
        let (service, resolve_now) = match self.discover {
            Some(start) => (start(connector, &config, &self.options), None),
            None => {
                let opened = self.sources.open(&target)?;
                let service = live_stack(opened.endpoints, connector, &config, &self.options);
                (service, opened.resolve_now)
            }
        };
        Ok(Channel::over(
            service,
            config,
            &target.to_string(),
            resolve_now,
        ))
    }
}

impl<C: Connect> fmt::Debug for ChannelBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
