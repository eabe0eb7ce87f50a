//! An etcd that loses its list, and servers that are well.

use etcd_client::{Client, DeleteOptions, PutOptions, Txn, TxnOp};
use evenkeel_core::Endpoint;
use evenkeel_discover::{DiscoverError, Registrar};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdRegistrar, KeepLast, OnLoss, RegistrarConfig};
use evenkeel_testkit::{EtcdServer, Log, eventually};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::seen::{Seen, config, etcd, value};

/// What is done about a loss by default.
fn dialling(server: &EtcdServer) -> Etcd {
    let config = EtcdConfig {
        on_loss: OnLoss::default(),
        ..config(server)
    };
    Etcd::new(config).unwrap()
}

/// Somebody who listens, and his key, under a lease of his own.
struct Server {
    listener: TcpListener,
    lease: i64,
}

impl Server {
    async fn register(client: &mut Client, key: &str) -> Self {
        let server = Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            lease: client.lease_grant(60, None).await.unwrap().id(),
        };
        server.put(client, key).await;
        server
    }

    async fn put(&self, client: &mut Client, key: &str) {
        let options = PutOptions::new().with_lease(self.lease);
        let put = client.put(key, value(&self.address(), 1), Some(options));
        put.await.unwrap();
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }
}

async fn servers<const N: usize>(client: &mut Client) -> Vec<Server> {
    let mut servers = Vec::new();
    for n in 0..N {
        servers.push(Server::register(client, &format!("user/{n}")).await);
    }
    servers
}

fn is_empty(seen: &Seen) -> bool {
    matches!(seen.report, Some(DiscoverError::Empty { .. }))
}

#[tokio::test]
async fn when_all_leases_are_revoked_only_the_dead_go() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let log = Log::start();
    let mut client = etcd.client().await;
    let mut servers = servers::<5>(&mut client).await;
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("all of them", |seen| seen.list.len() == 5).await;
    let stats = seen.discover.stats();

    let dead = servers.remove(2);
    let gone = dead.address();
    drop(dead.listener);
    for lease in servers.iter().map(|server| server.lease) {
        client.lease_revoke(lease).await.unwrap();
    }
    client.lease_revoke(dead.lease).await.unwrap();
    let all_but_it = |seen: &Seen| seen.list.len() == 4 && seen.discover.stats().kept() == 4;
    seen.until("only the dead one goes", all_but_it).await;
    let is_gone = |seen: &Seen| !seen.addresses().contains(&format!("{gone}*1"));
    assert!(is_gone(&seen), "{:?}", seen.addresses());
    let changes = seen.changes;
    let said = log.lines_with("etcd has lost 3 of 5 endpoints");
    assert!(said.len() == 1 && said[0].contains("WARN"), "{said:?}");
    let warnings = log.lines_with("WARN");
    assert_eq!(warnings.len(), 1, "one for each loss: {warnings:?}");

    // They come back, under new leases and other keys, as after any expiry.
    for (n, server) in servers.iter_mut().enumerate() {
        server.lease = client.lease_grant(60, None).await.unwrap().id();
        server.put(&mut client, &format!("user/again-{n}")).await;
    }
    let found = eventually("they are found", || stats.kept() == 0);
    seen.meanwhile(found).await;
    assert_eq!((seen.changes, seen.list.len()), (changes, 4));
    assert_eq!((stats.lists(), seen.report.is_none()), (1, true));
}

#[tokio::test]
async fn the_last_server_goes_when_it_stops_listening() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    let server = Server::register(&mut client, "user/1").await;
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("the server", |seen| seen.list.len() == 1).await;
    let stats = seen.discover.stats();
    client.lease_revoke(server.lease).await.unwrap();
    let kept = eventually("it is kept", || stats.kept() == 1);
    seen.meanwhile(kept).await;
    // That it is dialled is seen at its end: more than once it answers and stays.
    for _ in 0..2 {
        let dialled = async { server.listener.accept().await.unwrap() };
        drop(seen.meanwhile(dialled).await);
    }
    assert_eq!((seen.list.len(), seen.changes), (1, 1));
    drop(server.listener);
    seen.until("it is gone", is_empty).await;
    assert!(seen.list.is_empty() && stats.kept() == 0);
}

#[tokio::test]
async fn the_time_of_those_that_are_kept_stands_still_while_etcd_is_away() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let servers = servers::<3>(&mut client).await;
    let limit = std::time::Duration::from_secs(3);
    let config = EtcdConfig {
        on_loss: OnLoss::KeepLast(KeepLast {
            limit,
            ..KeepLast::default()
        }),
        ..config(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until("all of them", |seen| seen.list.len() == 3).await;
    let stats = seen.discover.stats();
    let all = DeleteOptions::new().with_prefix();
    client.delete("user/", Some(all)).await.unwrap();
    let kept = eventually("they are kept", || stats.kept() == 3);
    seen.meanwhile(kept).await;
    server.kill().await;
    let killed = Instant::now();
    let away = eventually("longer than they are kept", || killed.elapsed() > limit);
    seen.meanwhile(away).await;
    server.start_again().await;
    let watched = eventually("it is watched again", || stats.watches() == 2);
    seen.meanwhile(watched).await;
    let mut client = server.client().await;
    let another = Server::register(&mut client, "user/another").await;
    // What comes after that is told beside them.
    seen.until("all and one", |seen| seen.list.len() == 4).await;
    seen.until("they are given up", |seen| seen.list.len() == 1)
        .await;
    assert_eq!(seen.addresses(), [format!("{}*1", another.address())]);
    drop(servers);
}

#[tokio::test]
async fn a_single_deletion_is_believed_at_once() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    let servers = servers::<3>(&mut client).await;
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("all of them", |seen| seen.list.len() == 3).await;
    client.delete("user/1", None).await.unwrap();
    seen.until("it is gone", |seen| seen.list.len() == 2).await;
    let gone = format!("{}*1", servers[1].address());
    assert!(!seen.addresses().contains(&gone));
    assert_eq!(seen.discover.stats().kept(), 0);
}

#[tokio::test]
async fn servers_that_say_goodbye_go_at_once_all_together() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    let servers = servers::<2>(&mut client).await;
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("all of them", |seen| seen.list.len() == 2).await;
    for (n, server) in servers.iter().enumerate() {
        let address = server.address();
        let value = format!(r#"{{"Addr":"{address}","Metadata":{{"status":"draining"}}}}"#);
        client.put(format!("user/{n}"), value, None).await.unwrap();
        client.delete(format!("user/{n}"), None).await.unwrap();
    }
    // They still listen.
    seen.until("they are gone", is_empty).await;
    assert!(seen.list.is_empty() && seen.discover.stats().kept() == 0);
}

#[tokio::test]
async fn the_last_server_of_a_registrar_that_shuts_down_goes_at_once() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = RegistrarConfig {
        allow_loopback: true,
        propagation_delay: std::time::Duration::ZERO,
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(dialling(&etcd), config).unwrap();
    let server = Endpoint::new(listener.local_addr().unwrap());
    let _registration = registrar.register("user", server).unwrap();
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("the server", |seen| seen.list.len() == 1).await;
    registrar.shutdown().await.unwrap();
    seen.until("it is gone, though it listens", is_empty).await;
    assert_eq!(seen.discover.stats().kept(), 0);
    drop(listener);
}

#[tokio::test]
async fn servers_that_change_their_keys_in_one_transaction_are_no_change() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    let servers = servers::<3>(&mut client).await;
    let mut seen = Seen::of(dialling(&etcd), "user");
    seen.until("all of them", |seen| seen.list.len() == 3).await;
    let moves = servers.iter().enumerate().flat_map(|(n, server)| {
        let new = value(&server.address(), 1);
        [
            TxnOp::delete(format!("user/{n}"), None),
            TxnOp::put(format!("user/new-{n}"), new, None),
        ]
    });
    let moved = client.txn(Txn::new().and_then(moves.collect::<Vec<_>>()));
    let revision = moved.await.unwrap().header().unwrap().revision();
    let stats = seen.discover.stats();
    let applied = eventually("it is seen", || stats.revision() >= revision);
    seen.meanwhile(applied).await;
    assert_eq!((seen.list.len(), seen.changes, stats.kept()), (3, 3, 0));
}

#[tokio::test]
async fn who_accepts_an_empty_list_gets_one() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let servers = servers::<3>(&mut client).await;
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until("all of them", |seen| seen.list.len() == 3).await;
    for server in &servers {
        client.lease_revoke(server.lease).await.unwrap();
    }
    seen.until("they are gone", is_empty).await;
}
