use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
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

/// A registrar that refuses one service, and takes a moment to take out another.
#[derive(Debug, Default)]
struct Picky {
    taken_out: Arc<AtomicBool>,
}

struct Reluctant {
    taken_out: Arc<AtomicBool>,
    state: watch::Sender<RegistrationState>,
    tasks: Mutex<JoinSet<()>>,
}

impl Registrar for Picky {
    fn register(&self, service: &str, _: Endpoint) -> Result<Registration, RegisterError> {
        if service == "refused" {
            return Err(RegisterError::Ended);
        }
        let (sender, state) = watch::channel(RegistrationState::Registered);
        let control = Reluctant {
            taken_out: Arc::clone(&self.taken_out),
            state: sender,
            tasks: Mutex::default(),
        };
        Ok(Registration::new(control, state))
    }
}

impl Control for Reluctant {
    fn update(&self, _: Metadata) -> Result<(), RegisterError> {
        Ok(())
    }

    fn present(&self, _: Presence) -> Result<(), RegisterError> {
        Ok(())
    }

    fn deregister(&self) {
        let (taken_out, state) = (Arc::clone(&self.taken_out), self.state.clone());
        self.tasks.lock().spawn(async move {
            sleep(Duration::from_millis(20)).await;
            taken_out.store(true, Ordering::Relaxed);
            state.send_replace(RegistrationState::Deregistered);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_refused_leaves_nothing_of_the_others_behind() {
    let registrar = Picky::default();
    let served = Serve::new(&registrar, "user")
        .and("refused")
        .config(config())
        .run(bound(), |stop| server(stop, Duration::ZERO));
    let error = served.await.unwrap_err();
    assert!(matches!(error, ServeError::Register { .. }), "{error}");
    assert!(registrar.taken_out.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn who_is_told_a_second_time_waits_for_nobody() {
    let registry = MemoryRegistry::new();
    let start = Instant::now();
    let served = Serve::new(&registry, "user")
        .config(config())
        .until(sleep(Duration::from_secs(5)))
        .cut_off(async { sleep(Duration::from_secs(2)).await })
        .run(bound(), |stop| server(stop, Duration::MAX));
    let served = served.await.unwrap();
    assert!(!served.drained, "{served:?}");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: 5 s and 2 s");
    assert_eq!(listed(&registry), 0);
}

#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn each_signal_is_seen_by_who_has_begun_to_wait_for_it() {
    use futures_util::poll;
    for _ in 0..2 {
        let mut told = pin!(shutdown_signal());
        assert!(poll!(&mut told).is_pending());
        let pid = std::process::id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-TERM", &pid]).status().unwrap().success());
        told.await;
    }
}
