use std::time::Duration;

use evenkeel_core::{Address, Endpoint, Metadata};
use evenkeel_discover::{Registrar, Registration};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{EtcdServer, within};

/// An etcd, and a registrar that registers anything there.
pub(crate) async fn registry() -> Option<(EtcdServer, EtcdRegistrar)> {
    let server = EtcdServer::start().await?;
    let config = EtcdConfig {
        endpoints: vec![server.endpoint()],
        ..EtcdConfig::default()
    };
    let anything = RegistrarConfig {
        ttl: Duration::from_secs(30),
        allow_loopback: true,
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(Etcd::new(config).unwrap(), anything);
    Some((server, registrar.unwrap()))
}

/// Registers `address` for `service` and waits until it is.
pub(crate) async fn register(
    registrar: &EtcdRegistrar,
    service: &str,
    address: Address,
    weight: f64,
) -> Registration {
    let metadata = Metadata::default().with_weight(weight);
    let endpoint = Endpoint::new(address).with_metadata(metadata);
    let registration = registrar.register(service, endpoint).unwrap();
    within("the registration", registration.registered())
        .await
        .unwrap();
    registration
}
