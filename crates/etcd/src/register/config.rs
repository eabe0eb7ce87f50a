use std::time::Duration;

#[cfg(doc)]
use evenkeel_discover::Registration;

use crate::EtcdError;
#[cfg(doc)]
use crate::EtcdRegistrar;
use crate::config::LONGEST;

/// How servers are registered.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RegistrarConfig {
    /// How long a key outlives the process that wrote it. Default 10 s; 2 s to 1 h, rounded up to
    /// whole seconds. etcd may grant more than was asked for.
    pub ttl: Duration,
    /// Whether loopback addresses and Unix sockets may be registered: for tests and demos on one
    /// machine. Default no.
    pub allow_loopback: bool,
    /// The longest time between two attempts to reach etcd. Each delay is random, from nothing up
    /// to 0.5 s at first and to this in the end; while the lease lives, up to half of what is left
    /// of it. Never more than 10 s, nor than half of `ttl`: an etcd that comes back gives
    /// every lease its whole time again, and whoever returns within that time was never gone for
    /// its clients. Default 30 s; more than 0.
    pub max_backoff: Duration,
    /// How long [`EtcdRegistrar::shutdown`] waits after the servers were taken out, for clients to
    /// hear of it. Default 1 s; 0 does not wait.
    pub propagation_delay: Duration,
    /// The longest that [`EtcdRegistrar::shutdown`] and [`Registration::deregister`] wait for an
    /// etcd that does not answer. Default 3 s; more than a year is taken for a year.
    pub shutdown_timeout: Duration,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            allow_loopback: false,
            max_backoff: Duration::from_secs(30),
            propagation_delay: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}

impl RegistrarConfig {
    pub(super) fn check(&self) -> Result<(), EtcdError> {
        let bounds = Duration::from_secs(2)..=Duration::from_secs(3600);
        if !bounds.contains(&self.ttl) {
            let reason = format!("{:?} is not between 2 s and 1 h", self.ttl);
            return Err(EtcdError::config("ttl", reason));
        }
        if self.max_backoff.is_zero() {
            return Err(EtcdError::config("max_backoff", "0 s is too short"));
        }
        Ok(())
    }

    /// With times that can be added to any present; `ttl` is bounded already.
    pub(super) fn bounded(self) -> Self {
        Self {
            max_backoff: self.max_backoff.min(self.ttl / 2),
            propagation_delay: self.propagation_delay.min(LONGEST),
            shutdown_timeout: self.shutdown_timeout.min(LONGEST),
            ..self
        }
    }
}
