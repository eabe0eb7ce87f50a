//! The policy that decides, and where another one comes from.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel_core::{ConnectivityState, Policy, Update, View};
use evenkeel_policy::lb::{FailPicker, GracefulSwitch};
use evenkeel_service_config::{ConfigChanges, ConfigError, LiveConfig};
use tonic::Status;
use tracing::info;

/// Who decides for a channel.
pub(crate) enum Steering {
    /// Always the same policy.
    Fixed(Box<dyn Policy>),
    /// The one that the service config chooses, whenever it changes.
    Live(Box<Live>),
}

pub(crate) struct Live {
    policy: GracefulSwitch,
    changes: ConfigChanges,
    /// Why there is no config to go by.
    failure: Option<ConfigError>,
}

impl Steering {
    /// Follows `config` from now on.
    pub(crate) fn live(config: &LiveConfig) -> Self {
        // Watched before it is read: no change is missed.
        let changes = config.changes();
        let current = config.current();
        let chosen = current.load_balancing();
        Self::Live(Box::new(Live {
            policy: GracefulSwitch::new(chosen.name(), chosen.policy()),
            changes,
            failure: config.failure(),
        }))
    }

    /// Ready when there was a change that the policy is to be asked about.
    pub(crate) fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Fixed(_) => Poll::Pending,
            Self::Live(live) => live.poll_changed(cx),
        }
    }

    pub(crate) fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        match self {
            Self::Fixed(policy) => policy.update(now, view),
            Self::Live(live) => live.update(now, view),
        }
    }
}

impl Live {
    fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut changed = Poll::Pending;
        while let Poll::Ready(change) = self.changes.poll_changed(cx) {
            changed = Poll::Ready(());
            self.failure = match change {
                Ok(config) => {
                    let chosen = config.load_balancing();
                    if self.policy.serving() != chosen.name() {
                        info!(
                            from = self.policy.serving(),
                            to = chosen.name(),
                            "LB policy changes"
                        );
                    }
                    self.policy.switch_to(chosen.name(), chosen.policy());
                    None
                }
                Err(failure) => Some(failure),
            };
        }
        changed
    }

    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        match &self.failure {
            None => self.policy.update(now, view),
            Some(failure) => Update::new(
                ConnectivityState::TransientFailure,
                Arc::new(FailPicker::new(no_config(failure))),
            ),
        }
    }
}

/// The status of calls while the only service config there was is wrong (gRFC A21).
fn no_config(failure: &ConfigError) -> Status {
    let mut status = Status::unavailable(format!("the service config is wrong: {failure}"));
    status.set_source(Arc::new(failure.clone()));
    status
}
