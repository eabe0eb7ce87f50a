use evenkeel_core::Address;

use super::*;
use crate::EtcdConfig;

fn registrar(config: RegistrarConfig) -> Result<EtcdRegistrar, EtcdError> {
    EtcdRegistrar::new(Etcd::new(EtcdConfig::default()).unwrap(), config)
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint::new(address.parse::<Address>().unwrap())
}

#[tokio::test]
async fn addresses_that_clients_cannot_dial_are_refused() {
    let registrar = registrar(RegistrarConfig::default()).unwrap();
    for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:0"] {
        let refused = registrar.register("user", endpoint(address)).unwrap_err();
        assert!(
            matches!(refused, RegisterError::Unspecified { .. }),
            "{address}"
        );
    }
    for address in [
        "127.0.0.1:80",
        "[::1]:80",
        "localhost:80",
        "unix:/run/user.sock",
    ] {
        let refused = registrar.register("user", endpoint(address)).unwrap_err();
        assert!(
            matches!(refused, RegisterError::Loopback { .. }),
            "{address}"
        );
    }
    let two = ["10.0.0.1:80", "10.0.0.2:80"].map(|text| text.parse().unwrap());
    let two = Endpoint::with_addresses(two).unwrap();
    let refused = registrar.register("user", two).unwrap_err();
    assert!(matches!(refused, RegisterError::Encode { .. }), "{refused}");
}

#[test]
fn a_registrar_without_a_runtime_says_so() {
    let registrar = registrar(RegistrarConfig::default()).unwrap();
    let refused = registrar.register("user", endpoint("10.0.0.1:80"));
    assert!(matches!(refused, Err(RegisterError::NoRuntime)));
}

#[test]
fn values_out_of_bounds_are_refused() {
    let ttl = |seconds| RegistrarConfig {
        ttl: Duration::from_secs(seconds),
        ..RegistrarConfig::default()
    };
    for (seconds, ok) in [
        (0, false),
        (1, false),
        (2, true),
        (3600, true),
        (3601, false),
    ] {
        assert_eq!(registrar(ttl(seconds)).is_ok(), ok, "{seconds} s");
    }
}

#[tokio::test]
async fn after_shutdown_nothing_is_registered() {
    let registrar = registrar(RegistrarConfig::default()).unwrap();
    registrar.shutdown().await.unwrap();
    let refused = registrar.register("user", endpoint("10.0.0.1:80"));
    assert!(matches!(refused, Err(RegisterError::Ended)));
}

#[test]
fn a_server_is_found_by_the_way_to_its_etcd() {
    let endpoints = ["http://10.0.0.9:2379", "http://[fd00::9]:2379"];
    let config = EtcdConfig {
        endpoints: endpoints.map(str::to_owned).into(),
        ..EtcdConfig::default()
    };
    let etcd = Etcd::new(config).unwrap();
    let registrar = EtcdRegistrar::new(etcd, RegistrarConfig::default()).unwrap();
    let places = registrar.reached_at();
    assert_eq!(places, ["10.0.0.9:2379", "[fd00::9]:2379"]);
}
