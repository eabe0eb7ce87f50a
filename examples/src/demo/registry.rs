use std::fmt;
use std::path::Path;
use std::time::Duration;

use evenkeel::discover::{Registrar, Registration, RegistrationState};
use evenkeel::etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel::{BreakerConfig, Channel, MemoryRegistry, ServiceConfig};
use tokio::time::timeout;

use super::error::Error;

/// The service config of the demo, as the Go course wrote it.
const SERVICE_CONFIG: &str = include_str!("../../service-config.json");

/// How long etcd may take to confirm a registration.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where servers are written down and looked up.
#[derive(Debug)]
pub(super) enum Registry {
    Memory(MemoryRegistry),
    Etcd(Box<EtcdConfig>),
}

impl Registry {
    /// The etcd at `url`, or one in memory.
    pub(super) fn new(url: Option<&str>) -> Self {
        match url {
            None => Self::Memory(MemoryRegistry::new()),
            Some(url) => {
                let endpoints = vec![url.to_owned()];
                Self::Etcd(Box::new(EtcdConfig {
                    endpoints,
                    ..EtcdConfig::default()
                }))
            }
        }
    }

    /// What servers register themselves with.
    pub(super) fn registrar(&self) -> Result<Box<dyn Registrar>, Error> {
        Ok(match self {
            Self::Memory(registry) => Box::new(registry.clone()),
            Self::Etcd(etcd) => {
                let config = RegistrarConfig {
                    // The servers of the demo are on this machine, and so are their clients.
                    allow_loopback: true,
                    ..RegistrarConfig::default()
                };
                let etcd = Etcd::new(EtcdConfig::clone(etcd))?;
                Box::new(EtcdRegistrar::new(etcd, config)?)
            }
        })
    }

    /// A channel to the servers of `service`.
    pub(super) fn channel(&self, service: &str, config: ServiceConfig) -> Result<Channel, Error> {
        let builder = match self {
            Self::Memory(registry) => {
                Channel::builder(format!("memory:///{service}")).registry(registry)
            }
            Self::Etcd(config) => {
                Channel::builder(format!("etcd:///{service}")).etcd(EtcdConfig::clone(config))
            }
        };
        let builder = builder.service_config_value(config).breaker(breaker());
        Ok(builder.build()?)
    }

    /// Waits until the registry has the entry; in etcd that takes a moment, or for ever.
    pub(super) async fn confirm(&self, registration: &Registration) -> Result<(), Error> {
        match timeout(PATIENCE, registration.registered()).await {
            Ok(registered) => Ok(registered?),
            Err(_) => Err(Error::EtcdUnreachable {
                registry: self.to_string(),
                reason: match registration.state() {
                    RegistrationState::Retrying { last_error, .. } => last_error.to_string(),
                    _ => format!("no answer within {PATIENCE:?}"),
                },
            }),
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(_) => f.write_str("in memory"),
            Self::Etcd(config) => write!(f, "in etcd at {}", config.endpoints.join(", ")),
        }
    }
}

/// A breaker that shows within seconds what usually takes longer.
fn breaker() -> BreakerConfig {
    BreakerConfig {
        open_time: Duration::from_millis(500),
        max_open_time: Duration::from_secs(1),
        ..BreakerConfig::default()
    }
}

/// The service config in `file`, or the demo's.
pub(super) fn service_config(file: Option<&Path>) -> Result<ServiceConfig, Error> {
    let (name, text) = match file {
        None => ("examples/service-config.json".into(), SERVICE_CONFIG.into()),
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => (file.to_owned(), text),
            Err(source) => {
                let file = file.to_owned();
                return Err(Error::ReadConfig { file, source });
            }
        },
    };
    ServiceConfig::parse(&text).map_err(|source| Error::Config { file: name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_the_course_is_legal_as_it_is() {
        service_config(None).unwrap();
    }
}
