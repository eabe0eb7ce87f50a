use std::io;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::*;
use crate::{Control, MemoryRegistry, Presence, RegisterError};

const BOUND: &str = "127.0.0.1:80";

fn bound() -> SocketAddr {
    BOUND.parse().unwrap()
}

fn config() -> ServeConfig {
    ServeConfig {
        advertise: Advertise {
            variable: None,
            ..Advertise::default()
        },
        ..ServeConfig::default()
    }
}

fn listed(registry: &MemoryRegistry) -> usize {
    registry.endpoints("user").len() + registry.endpoints("order").len()
}

/// A server that serves until it is told to stop, and then for as long as its calls take.
async fn server(stop: Stop, calls: Duration) -> io::Result<()> {
    stop.await;
    sleep(calls).await;
    Ok(())
}

/// Resolves when the registry lists so many.
async fn until_listed(registry: &MemoryRegistry, count: usize) {
    while listed(registry) != count {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_leaves_the_registry_first_then_serves_on_and_then_ends() {
    let registry = MemoryRegistry::new();
    let told = Mutex::new(None);
    let signalled = Mutex::new(None);
    let signal = async {
        until_listed(&registry, 2).await;
        sleep(Duration::from_secs(10)).await;
        *signalled.lock() = Some(Instant::now());
    };
    let served = Serve::new(&registry, "user")
        .and("order")
        .config(config())
        .until(signal);
    let served = served.run(bound(), |stop| async {
        stop.await;
        assert_eq!(listed(&registry), 0);
        *told.lock() = Some(Instant::now());
        sleep(Duration::from_secs(5)).await;
        io::Result::Ok(())
    });
    let served = served.await.unwrap();
    assert!(served.deregistered && served.drained);
    let (signalled, told) = (signalled.lock().unwrap(), told.lock().unwrap());
    assert_eq!(told - signalled, Duration::from_secs(1));
    assert_eq!(told.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_end_are_cut_off() {
    let registry = MemoryRegistry::new();
    let start = Instant::now();
    let served = Serve::new(&registry, "user")
        .config(config())
        .until(until_listed(&registry, 1))
        .run(bound(), |stop| server(stop, Duration::MAX));
    let served = served.await.unwrap();
    assert!(served.deregistered && !served.drained);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(32), "{took:?}: 1 s and 30 s");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_start_is_not_registered_and_says_why() {
    let registry = MemoryRegistry::new();
    let mut watch = registry.watch("user");
    let served = Serve::new(&registry, "user").config(config());
    let failed = served.run(bound(), |_| async {
        Err::<(), _>(io::Error::other("no certificate"))
    });
    let error = failed.await.unwrap_err();
    assert_eq!(error.to_string(), "the server has failed: no certificate");
    // It would be seen as an insertion.
    use futures_util::{FutureExt, StreamExt};
    assert!(watch.next().now_or_never().unwrap().unwrap().is_err());
    assert!(watch.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_later_is_taken_out_and_says_why() {
    let registry = MemoryRegistry::new();
    let served = Serve::new(&registry, "user").config(config());
    let failed = served.run(bound(), |_| async {
        until_listed(&registry, 1).await;
        Err::<(), _>(io::Error::other("out of files"))
    });
    let error = failed.await.unwrap_err();
    assert!(error.to_string().contains("out of files"), "{error}");
    assert_eq!(listed(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_registered_when_it_is_ready_and_not_before() {
    let registry = MemoryRegistry::new();
    let checked = Notify::new();
    let check = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(listed(&registry), 0);
        checked.notify_one();
        Ok::<(), io::Error>(())
    };
    let signal = async {
        checked.notified().await;
        until_listed(&registry, 1).await;
    };
    let served = Serve::new(&registry, "user")
        .config(config())
        .ready(check)
        .until(signal)
        .run(bound(), |stop| server(stop, Duration::ZERO));
    assert!(served.await.unwrap().drained);

    let unwell = async { Err(io::Error::other("no database")) };
    let served = Serve::new(&registry, "user")
        .config(config())
        .ready(unwell)
        .run(bound(), |stop| server(stop, Duration::ZERO));
    let error = served.await.unwrap_err();
    assert_eq!(error.to_string(), "the server is not ready: no database");
    assert_eq!(listed(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_told_to_end_before_it_is_ready_waits_for_nobody() {
    let registry = MemoryRegistry::new();
    let start = Instant::now();
    let served = Serve::new(&registry, "user")
        .config(config())
        .ready(std::future::pending::<Result<(), io::Error>>())
        .until(async {})
        .run(bound(), |stop| server(stop, Duration::ZERO));
    assert!(served.await.unwrap().drained);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_registrar_that_refuses_the_address_says_where_it_is_from() {
    let registry = MemoryRegistry::new();
    let mut nowhere = config();
    nowhere.advertise.address = Some("0.0.0.0".into());
    let served = Serve::new(&registry, "user").config(nowhere);
    let error = served
        .run(bound(), |stop| server(stop, Duration::ZERO))
        .await
        .unwrap_err();
    assert!(matches!(error, ServeError::Advertise(_)), "{error}");

    let served = Serve::new(&Absent, "user").config(config());
    let error = served
        .run(bound(), |stop| server(stop, Duration::ZERO))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot register 127.0.0.1:80: other machines cannot reach it; \
         allow_loopback permits it; the address is from the address it listens on"
    );
}

/// A registrar that never reaches its registry.
#[derive(Debug)]
struct Absent;

struct Waiting(#[expect(dead_code, reason = "kept open")] watch::Sender<RegistrationState>);

impl Registrar for Absent {
    fn register(&self, _: &str, endpoint: Endpoint) -> Result<Registration, RegisterError> {
        RegisterError::check(&endpoint, false)?;
        let (sender, state) = watch::channel(RegistrationState::Registering);
        Ok(Registration::new(Waiting(sender), state))
    }
}

impl Control for Waiting {
    fn update(&self, _: Metadata) -> Result<(), RegisterError> {
        Ok(())
    }

    fn present(&self, _: Presence) -> Result<(), RegisterError> {
        Ok(())
    }

    fn deregister(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_not_there_holds_nobody_up() {
    let mut elsewhere = config();
    elsewhere.advertise.address = Some("10.0.0.5".into());
    let signalled = Mutex::new(None);
    let signal = async {
        sleep(Duration::from_secs(10)).await;
        *signalled.lock() = Some(Instant::now());
    };
    let services = (0..20).map(|n| format!("service-{n}"));
    let serve = Serve::new(&Absent, "user").config(elsewhere);
    let served = services
        .fold(serve, Serve::and)
        .until(signal)
        .run(bound(), |stop| server(stop, Duration::ZERO));
    let served = served.await.unwrap();
    assert!(!served.deregistered && served.drained);
    // 3 s for all twenty together, and 1 s for clients that might have heard of it.
    let signalled = signalled.lock().unwrap();
    assert_eq!(signalled.elapsed(), Duration::from_secs(4));
}
