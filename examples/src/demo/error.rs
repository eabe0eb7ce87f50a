use std::io;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel::BuildError;
use evenkeel::discover::RegisterError;
use evenkeel::etcd::EtcdError;
use evenkeel::service_config::ConfigError;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    #[error("cannot print")]
    Print(#[from] io::Error),
    #[error("cannot read {file}")]
    ReadConfig { file: PathBuf, source: io::Error },
    #[error("{file} is no service config")]
    Config { file: PathBuf, source: ConfigError },
    #[error("cannot build the channel")]
    Build(#[from] BuildError),
    #[error("cannot register")]
    Register(#[from] RegisterError),
    #[error("cannot use etcd")]
    Etcd(#[from] EtcdError),
    #[error(
        "cannot register {registry}: {reason}; is it running? (`etcd` starts one, and without \
         --etcd the demo needs none)"
    )]
    EtcdUnreachable { registry: String, reason: String },
    #[error(
        "others have registered as {service} already: {endpoints}; choose another name with \
         --service"
    )]
    Taken { service: String, endpoints: String },
    #[error("waited {waited:?} in vain for {what}; {endpoints}")]
    NotSettled {
        what: String,
        waited: Duration,
        endpoints: String,
    },
}
