//! The policy that decides, and where another one comes from.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel_core::{ConnectivityState, Policy, Update, View};
use evenkeel_policy::lb::{FailPicker, GracefulSwitch, Switch, TakenBy};
use evenkeel_service_config::{ConfigChanges, ConfigError, LbConfig, LiveConfig, ServiceConfig};
use tonic::Status;
use tracing::info;

/// Who decides for a channel.
pub(crate) enum Steering {
    /// Always the same policy.
    Fixed(Box<dyn Policy>, OfEndpoints),
    /// The one that the service config chooses, whenever it changes.
    Live(Box<Live>),
}

/// What a config says of the endpoints, whatever the policy.
#[derive(Debug)]
pub(crate) struct OfEndpoints {
    health_service: Option<Arc<str>>,
    max_connections: u32,
}

pub(crate) struct Live {
    policy: GracefulSwitch,
    /// What `policy` has been given last.
    chosen: LbConfig,
    changes: ConfigChanges,
    of_endpoints: OfEndpoints,
    /// Why there is no config to go by.
    failure: Option<ConfigError>,
}

impl Steering {
    /// Follows a config that does not change.
    pub(crate) fn fixed(config: &ServiceConfig) -> Self {
        let of_endpoints = OfEndpoints::in_config(config);
        Self::Fixed(config.load_balancing().build(), of_endpoints)
    }

    /// Has this policy decide, without a config.
    pub(crate) fn fixed_policy(policy: Box<dyn Policy>) -> Self {
        Self::Fixed(policy, OfEndpoints::default())
    }

    /// Follows `config` from now on.
    pub(crate) fn live(config: &LiveConfig) -> Self {
        // Watched before it is read: no change is missed.
        let changes = config.changes();
        let current = config.current();
        let chosen = current.load_balancing();
        Self::Live(Box::new(Live {
            policy: GracefulSwitch::new(chosen.name(), chosen.policy()),
            chosen: chosen.clone(),
            of_endpoints: OfEndpoints::in_config(&current),
            changes,
            failure: config.failure(),
        }))
    }

    /// Ready when there was a change that the policy is to be asked about.
    pub(crate) fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Fixed(..) => Poll::Pending,
            Self::Live(live) => live.poll_changed(cx),
        }
    }

    pub(crate) fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        match self {
            Self::Fixed(policy, _) => policy.update(now, view),
            Self::Live(live) => live.update(now, view),
        }
    }

    /// The service whose health counts, if the policy lets it.
    pub(crate) fn health_service(&self) -> Option<&Arc<str>> {
        self.of_endpoints().health_service.as_ref()
    }

    /// How many connections an endpoint may have.
    pub(crate) const fn max_connections(&self) -> u32 {
        self.of_endpoints().max_connections
    }

    const fn of_endpoints(&self) -> &OfEndpoints {
        match self {
            Self::Fixed(_, of_endpoints) => of_endpoints,
            Self::Live(live) => &live.of_endpoints,
        }
    }
}

impl Live {
    fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut changed = Poll::Pending;
        while let Poll::Ready(change) = self.changes.poll_changed(cx) {
            changed = Poll::Ready(());
            match change {
                Ok(config) => {
                    self.of_endpoints = OfEndpoints::in_config(&config);
                    self.choose(config.load_balancing());
                }
                Err(failure) => self.failure = Some(failure),
            }
        }
        changed
    }

    fn choose(&mut self, chosen: &LbConfig) {
        if self.failure.take().is_some() {
            // Nobody has served: there is nothing to go over from.
            self.policy = GracefulSwitch::new(chosen.name(), chosen.policy());
            info!(policy = chosen.name(), "LB policy begins");
        } else if self.chosen == *chosen {
            // The policy keeps all that it has learnt, whether it could take its config or not.
            return;
        } else {
            let switch = self.policy.switch_to(chosen.name(), chosen.policy());
            log(self.policy.serving(), chosen.name(), &switch);
        }
        self.chosen = chosen.clone();
    }

    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        match &self.failure {
            None => {
                let was_to_serve = self.policy.next().is_some();
                let update = self.policy.update(now, view);
                if was_to_serve && self.policy.next().is_none() {
                    info!(
                        policy = self.policy.serving(),
                        "LB policy serves from now on"
                    );
                }
                update
            }
            Some(failure) => Update::new(
                ConnectivityState::TransientFailure,
                Arc::new(FailPicker::new(no_config(failure))),
            ),
        }
    }
}

impl OfEndpoints {
    fn in_config(config: &ServiceConfig) -> Self {
        Self {
            health_service: config.health_check_service_name().map(Arc::from),
            max_connections: config.max_connections_per_subchannel().unwrap_or(1),
        }
    }
}

/// As an empty config says.
impl Default for OfEndpoints {
    fn default() -> Self {
        Self {
            health_service: None,
            max_connections: 1,
        }
    }
}

/// Says what became of the config for the policy `chosen`.
fn log(serving: &str, chosen: &str, switch: &Switch) {
    if let Some(policy) = &switch.given_up {
        info!(policy = &**policy, serving, "LB policy does not take over");
    }
    match switch.taken_by {
        TakenBy::New => info!(from = serving, to = chosen, "LB policy changes"),
        _ => info!(policy = chosen, "LB policy has a new config"),
    }
}

/// The status of calls while the only service config there was is wrong (gRFC A21).
fn no_config(failure: &ConfigError) -> Status {
    let mut status = Status::unavailable(format!("the service config is wrong: {failure}"));
    status.set_source(Arc::new(failure.clone()));
    status
}
