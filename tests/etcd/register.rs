mod bounds;
mod hangs;
mod many;
mod presence;
mod refused;

use std::time::Duration;

use etcd_client::{Client, PutOptions};
use evenkeel_core::{Address, Availability, Endpoint, Metadata};
use evenkeel_discover::{RegisterError, Registrar, Registration, RegistrationState};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{EtcdServer, Fault, FaultProxy, PATIENCE, within};

use crate::seen::{A, B, Seen, config, etcd, value};

const KEY: &str = "user/10.0.0.1:80";

/// A registrar whose leases are as short as they can be.
fn registrar(server: &EtcdServer) -> EtcdRegistrar {
    let config = RegistrarConfig {
        ttl: Duration::from_secs(2),
        ..RegistrarConfig::default()
    };
    EtcdRegistrar::new(etcd(server), config).unwrap()
}

fn endpoint(address: &str, weight: f64) -> Endpoint {
    Endpoint::new(address.parse::<Address>().unwrap())
        .with_metadata(Metadata::default().with_weight(weight))
}

async fn registered(registration: &Registration) {
    let registered = within("it is registered", registration.registered());
    registered.await.unwrap();
}

async fn until(registration: &Registration, what: &str, state: fn(&RegistrationState) -> bool) {
    let mut watch = registration.watch();
    within(what, watch.wait_for(state)).await.unwrap();
}

fn is_retrying(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Retrying { .. })
}

fn is_registered(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Registered)
}

/// The value under `key` and its lease.
async fn read(client: &mut Client, key: &str) -> Option<(String, i64)> {
    let found = client.get(key, None).await.unwrap();
    let found = found.kvs().first()?;
    Some((found.value_str().unwrap().to_owned(), found.lease()))
}

/// Waits until `key` is there (or not) and gives its lease.
async fn until_key(client: &mut Client, key: &str, there: bool) -> Option<i64> {
    let wait = async {
        loop {
            let lease = read(client, key).await.map(|(_, lease)| lease);
            if lease.is_some() == there {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the key comes or goes", wait).await
}

#[tokio::test]
async fn a_server_is_written_as_go_writes_it_under_a_lease() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 10.0)).unwrap();
    registered(&registration).await;
    let (text, lease) = read(&mut client, KEY).await.unwrap();
    assert_eq!(
        text,
        r#"{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"weight":10}}"#
    );
    assert_ne!(lease, 0);

    let other = registrar.register("order", endpoint(B, 1.0)).unwrap();
    registered(&other).await;
    let (_, second) = read(&mut client, "order/10.0.0.2:80").await.unwrap();
    assert_eq!(second, lease, "one lease for one registrar");
}

#[tokio::test]
async fn an_update_is_seen_and_keeps_the_lease() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let (_, lease) = read(&mut client, KEY).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;

    let draining = Metadata::default()
        .with_weight(2.0)
        .with_availability(Availability::Draining);
    registration.update(draining.clone()).unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
    let told = seen.list.values().next().unwrap();
    assert_eq!(told.metadata(), &draining);
    registered(&registration).await;
    assert_eq!(read(&mut client, KEY).await.unwrap().1, lease);
    assert_eq!(seen.changes, 2);
}

#[tokio::test]
async fn a_key_outlives_many_times_to_live_while_the_server_does() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    // A key that nobody renews measures the time on etcd's own clock.
    let witness = client.lease_grant(5, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(witness);
    client.put("witness", "", Some(options)).await.unwrap();
    seen.meanwhile(until_key(&mut client, "witness", false))
        .await;
    assert_eq!(seen.changes, 1, "the key came and went");
    assert_eq!(read(&mut client, KEY).await.unwrap().1, lease);
}

#[tokio::test]
async fn a_revoked_lease_is_replaced() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    client.lease_revoke(lease).await.unwrap();
    assert!(read(&mut client, KEY).await.is_none());
    until(&registration, "the loss is seen", is_retrying).await;
    registered(&registration).await;
    let (_, other) = read(&mut client, KEY).await.unwrap();
    assert!(other != 0 && other != lease);
}

#[tokio::test]
async fn a_deleted_key_comes_back_under_the_same_lease() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let lease = read(&mut client, KEY).await.unwrap().1;
    client.delete(KEY, None).await.unwrap();
    assert_eq!(until_key(&mut client, KEY, true).await, Some(lease));
    registered(&registration).await;
}

#[tokio::test]
async fn an_overwritten_key_is_written_again() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let other = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&registration).await;
    registered(&other).await;
    let mut states = other.watch();
    states.mark_unchanged();
    client.put(KEY, value(A, 99), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    assert_ne!(read(&mut client, KEY).await.unwrap().1, 0);
    assert!(
        !states.has_changed().unwrap(),
        "the other one was not touched"
    );
}

#[tokio::test]
async fn a_server_that_starts_before_etcd_is_registered_when_it_comes() {
    let Some(mut server) = EtcdServer::prepare() else {
        return;
    };
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    until(&registration, "it is being tried", is_retrying).await;
    let RegistrationState::Retrying { last_error, .. } = registration.state() else {
        panic!("{:?}", registration.state())
    };
    assert!(last_error.contains(&server.endpoint()), "{last_error}");
    server.start_again().await;
    registered(&registration).await;
    assert!(read(&mut server.client().await, KEY).await.is_some());
}

#[tokio::test]
async fn an_outage_longer_than_the_lease_ends_with_the_server_registered() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    server.stop().await;
    until(&registration, "three times its time to live", |state| {
        matches!(state, RegistrationState::Retrying { since, .. }
            if since.elapsed() > Duration::from_secs(6))
    })
    .await;
    server.start_again().await;
    until(&registration, "it is back", is_registered).await;
    let mut client = server.client().await;
    assert_ne!(until_key(&mut client, KEY, true).await, Some(0));
}

#[tokio::test]
async fn a_server_that_was_cut_off_until_its_key_expired_comes_back() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let upstream = server.endpoint().trim_start_matches("http://").parse();
    let proxy = FaultProxy::start(upstream.unwrap()).await.unwrap();
    let behind = EtcdConfig {
        endpoints: vec![format!("http://{}", proxy.address())],
        ..config(&server)
    };
    let two_seconds = RegistrarConfig {
        ttl: Duration::from_secs(2),
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(Etcd::new(behind).unwrap(), two_seconds).unwrap();
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let lease = read(&mut client, KEY).await.unwrap().1;

    proxy.set(Fault::Pause).await;
    until_key(&mut client, KEY, false).await;
    until(&registration, "the silence is seen", is_retrying).await;
    proxy.set(Fault::Pass).await;
    let other = until_key(&mut client, KEY, true).await;
    assert!(other != Some(0) && other != Some(lease), "{other:?}");
    registered(&registration).await;
}

#[tokio::test]
async fn a_paused_etcd_is_survived() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    server.pause();
    until(&registration, "the silence is seen", is_retrying).await;
    server.resume();
    until(&registration, "it is back", is_registered).await;
}

#[tokio::test]
async fn after_an_etcd_from_nothing_servers_and_clients_find_each_other_again() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let registrar = registrar(&server);
    let a = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let b = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&a).await;
    registered(&b).await;
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    server.kill().await;
    server.wipe();
    server.start_again().await;
    let mut client = server.client().await;
    seen.meanwhile(until_key(&mut client, KEY, true)).await;
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    registered(&a).await;
    registered(&b).await;
}

#[tokio::test]
async fn deregistering_deletes_our_key_and_never_a_successors() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let a = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let b = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&a).await;
    registered(&b).await;
    a.deregister().await.unwrap();
    assert!(read(&mut client, KEY).await.is_none());

    // The other one's key has passed to another process.
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    let key = "user/10.0.0.2:80";
    client.put(key, value(B, 7), Some(options)).await.unwrap();
    b.deregister().await.unwrap();
    assert_eq!(read(&mut client, key).await.unwrap().1, lease);
}

#[tokio::test]
async fn dropping_a_registration_deletes_its_key() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    drop(registration);
    until_key(&mut client, KEY, false).await;
    let again = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&again).await;
}

#[tokio::test]
async fn a_registration_that_outlives_its_registrar_deregisters_when_waited_for() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let first = registrar(&server);
    let waited_for = first.register("user", endpoint(A, 1.0)).unwrap();
    drop(first);
    registered(&waited_for).await;
    waited_for.deregister().await.unwrap();
    assert!(read(&mut client, KEY).await.is_none());

    let second = registrar(&server);
    let dropped = second.register("user", endpoint(A, 1.0)).unwrap();
    drop(second);
    registered(&dropped).await;
    drop(dropped);
    // With its lease: nobody is left to delete it.
    until_key(&mut client, KEY, false).await;
}

#[tokio::test]
async fn shutdown_takes_everything_out_at_once() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let registrar = registrar(&server);
    let a = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let b = registrar.register("order", endpoint(B, 1.0)).unwrap();
    registered(&a).await;
    registered(&b).await;
    registrar.shutdown().await.unwrap();
    assert!(read(&mut client, KEY).await.is_none());
    assert!(read(&mut client, "order/10.0.0.2:80").await.is_none());
    assert!(client.leases().await.unwrap().leases().is_empty());
    assert!(matches!(a.state(), RegistrationState::Deregistered));
    b.deregister().await.unwrap();
    let late = registrar.register("user", endpoint(A, 1.0));
    assert!(matches!(late, Err(RegisterError::Ended)));
}

#[tokio::test]
async fn shutdown_and_deregister_do_not_wait_for_a_dead_etcd() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let config = RegistrarConfig {
        shutdown_timeout: Duration::from_millis(300),
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(etcd(&server), config).unwrap();
    let a = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let b = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&a).await;
    registered(&b).await;
    server.pause();
    // Both have a limit of 0.3 s, the test one of 30: it would hang without the limit.
    let deregistered = within("deregister gives up", a.deregister()).await;
    assert!(matches!(
        deregistered,
        Err(RegisterError::Unconfirmed { .. })
    ));
    let shut = within("shutdown gives up", registrar.shutdown()).await;
    let error = shut.unwrap_err().to_string();
    assert!(error.contains("revoke the lease"), "{error}");
    assert!(matches!(b.state(), RegistrationState::Deregistered));
}

#[tokio::test]
async fn the_keys_of_a_killed_process_expire() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    // A process is a runtime here: when it is gone, nobody renews and nobody says goodbye.
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let registrar = registrar(&server);
    let registration = {
        let _context = process.enter();
        registrar.register("user", endpoint(A, 1.0)).unwrap()
    };
    registered(&registration).await;
    process.shutdown_background();
    std::mem::forget(registration);
    let expired = tokio::time::timeout(PATIENCE, until_key(&mut client, KEY, false));
    expired.await.unwrap();
}

#[tokio::test]
async fn dropping_registrar_and_registrations_ends_the_background_task() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.get("x", None).await.unwrap();
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let registrar = registrar(&server);
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    assert!(tasks.num_alive_tasks() > before);
    drop((registrar, registration));
    let ended = evenkeel_testkit::eventually("all tasks end", || tasks.num_alive_tasks() <= before);
    ended.await;
}
