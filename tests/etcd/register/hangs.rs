//! What hangs: a member of three, or the only one while a write is under way.

use evenkeel_testkit::EtcdCluster;

use super::*;

/// A cluster and an etcd of it that knows all members but the leader, so that there always is one
/// whichever of them hangs.
async fn followers() -> Option<(EtcdCluster, Etcd)> {
    let mut cluster = EtcdCluster::start().await?;
    let leader = cluster.leader().await;
    let leader = cluster.member(leader).endpoint();
    let mut endpoints = cluster.endpoints();
    endpoints.retain(|endpoint| *endpoint != leader);
    let config = EtcdConfig {
        endpoints,
        ..EtcdConfig::default()
    };
    Some((cluster, Etcd::new(config).unwrap()))
}

/// Has the member in use hang, and gives a client of the others.
async fn pause_in_use(cluster: &mut EtcdCluster, etcd: &Etcd) -> Client {
    let in_use = etcd.member().unwrap();
    let mut endpoints = cluster.endpoints();
    let place = endpoints.iter().position(|it| **it == *in_use).unwrap();
    cluster.member(place).pause();
    endpoints.remove(place);
    Client::connect(endpoints, None).await.unwrap()
}

#[tokio::test]
async fn a_member_that_hangs_keeps_no_server_from_leaving() {
    for all in [true, false] {
        let Some((mut cluster, etcd)) = followers().await else {
            return;
        };
        let registrar = EtcdRegistrar::new(etcd.clone(), RegistrarConfig::default()).unwrap();
        let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
        registered(&registration).await;
        let mut client = pause_in_use(&mut cluster, &etcd).await;
        if all {
            let gone = within("it is shut down", registrar.shutdown());
            gone.await.unwrap();
        } else {
            let gone = within("it leaves", registration.deregister());
            gone.await.unwrap();
        }
        assert_eq!(read(&mut client, KEY).await, None);
    }
}

#[tokio::test]
async fn a_member_that_hangs_costs_no_key() {
    let Some((mut cluster, etcd)) = followers().await else {
        return;
    };
    let five_seconds = RegistrarConfig {
        ttl: Duration::from_secs(5),
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(etcd.clone(), five_seconds).unwrap();
    let registration = registrar.register("user", endpoint(A, 1.0)).unwrap();
    registered(&registration).await;
    let mut client = pause_in_use(&mut cluster, &etcd).await;
    let before = client.get(KEY, None).await.unwrap();
    // A key that nobody renews measures the time on etcd's own clock.
    let witness = client.lease_grant(8, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(witness);
    client.put("witness", "", Some(options)).await.unwrap();
    until_key(&mut client, "witness", false).await;
    let after = client.get(KEY, None).await.unwrap();
    let created = |found: &etcd_client::GetResponse| {
        let found = found.kvs().first();
        found.map(etcd_client::KeyValue::create_revision)
    };
    assert_eq!(created(&after), created(&before), "the key came and went");
}

#[tokio::test]
async fn a_late_write_brings_no_server_back() {
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
    let five_seconds = RegistrarConfig {
        ttl: Duration::from_secs(5),
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(Etcd::new(behind).unwrap(), five_seconds).unwrap();
    let other = registrar.register("user", endpoint(B, 1.0)).unwrap();
    registered(&other).await;
    let lease = read(&mut client, "user/10.0.0.2:80").await.unwrap().1;

    proxy.set(Fault::Pause).await;
    let leaves = registrar.register("user", endpoint(A, 1.0)).unwrap();
    let pauses = registrar.register("order", endpoint(A, 1.0)).unwrap();
    until(&leaves, "its write has no answer", is_retrying).await;
    proxy.set(Fault::Pass).await;
    registered(&leaves).await;
    registered(&pauses).await;
    pauses.pause().unwrap();
    within("it is paused", pauses.paused()).await.unwrap();
    within("it leaves", leaves.deregister()).await.unwrap();

    // What a member does that was asked for it before and goes on now.
    for key in [KEY, "order/10.0.0.1:80"] {
        let ours = PutOptions::new().with_lease(lease);
        client.put(key, value(A, 1), Some(ours)).await.unwrap();
    }
    for key in [KEY, "order/10.0.0.1:80"] {
        until_key(&mut client, key, false).await;
    }
    let after = read(&mut client, "user/10.0.0.2:80").await.unwrap().1;
    assert_eq!(after, lease, "they went because they were deleted");
    pauses.resume().unwrap();
    registered(&pauses).await;
}
