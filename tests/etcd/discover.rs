use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover};
use evenkeel_testkit::{EtcdServer, eventually};

use crate::seen::{A, B, Seen, config, etcd, patient, value};

#[tokio::test]
async fn a_service_is_listed_and_then_watched() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 10), None).await.unwrap();

    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*10"]).await;
    assert_eq!(seen.list.keys().next().unwrap().as_str(), "user/1");

    client.put("user/2", value(B, 20), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*10", "10.0.0.2:80*20"]).await;
    client.delete("user/1", None).await.unwrap();
    seen.until_list(&["10.0.0.2:80*20"]).await;
    assert_eq!((seen.changes, seen.report.is_none()), (3, true));
    assert_eq!(seen.discover.stats().lists(), 1);
}

#[tokio::test]
async fn a_service_can_be_listed_once() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    for (key, value) in [
        ("user/1", value(A, 1)),
        ("user/2", value(B, 2)),
        ("user/3", "oops".to_owned()),
        ("user/again", value(A, 3)),
        ("user-admin/1", value("10.0.0.3:80", 1)),
    ] {
        client.put(key, value, None).await.unwrap();
    }
    let etcd = etcd(&server);
    let endpoints = EtcdDiscover::list(&etcd, "user").await.unwrap();
    let text = endpoints.iter().map(|endpoint| {
        let weight = endpoint.metadata().weight.unwrap();
        format!("{endpoint}*{weight}")
    });
    let mut text: Vec<_> = text.collect();
    text.sort();
    assert_eq!(text, ["10.0.0.1:80*3", "10.0.0.2:80*2"]);
    assert!(
        EtcdDiscover::list(&etcd, "nobody")
            .await
            .unwrap()
            .is_empty()
    );
    drop(server);
    EtcdDiscover::list(&etcd, "user").await.unwrap_err();
}

#[tokio::test]
async fn a_service_without_servers_is_reported_as_empty() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until("a report", |seen| seen.report.is_some()).await;
    assert!(matches!(seen.report, Some(DiscoverError::Empty { .. })));
    client.put("user/1", value(A, 1), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1"]).await;
    client.delete("user/1", None).await.unwrap();
    seen.until("a report", |seen| seen.report.is_some()).await;
    assert!(matches!(seen.report, Some(DiscoverError::Empty { .. })));
    assert!(seen.list.is_empty());
}

#[tokio::test]
async fn neighbours_with_a_similar_name_are_not_seen() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    for key in ["user-admin/1", "user", "user0", "users/1", "my/user/1"] {
        client.put(key, value(A, 1), None).await.unwrap();
    }
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until("a report", |seen| seen.report.is_some()).await;
    client.put("user-admin/2", value(A, 1), None).await.unwrap();
    client.put("user/1", value(B, 1), None).await.unwrap();
    seen.until_list(&["10.0.0.2:80*1"]).await;
    assert_eq!(seen.changes, 1);
}

#[tokio::test]
async fn a_configured_prefix_comes_before_the_service() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(B, 1), None).await.unwrap();
    client.put("prod/user/1", value(A, 1), None).await.unwrap();
    let prefix = "prod/".to_owned();
    let config = EtcdConfig {
        prefix,
        ..config(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
}

#[tokio::test]
async fn a_bad_value_is_skipped_and_counted_and_others_are_seen() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/0", "{{{", None).await.unwrap();
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    client.put("user/3", r#"{"Addr":17}"#, None).await.unwrap();
    client.put("user/4", value(B, 1), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    assert_eq!(seen.discover.stats().decode_errors(), 2);
    client
        .put("user/0", value("10.0.0.3:80", 1), None)
        .await
        .unwrap();
    seen.until("the mended one", |seen| seen.list.len() == 3)
        .await;
    assert_eq!(seen.discover.stats().decode_errors(), 2);
}

#[tokio::test]
async fn another_weight_is_one_insert_and_the_same_value_is_none() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/1", value(A, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
    assert_eq!(seen.changes, 2);
}

#[tokio::test]
async fn two_keys_for_one_server_are_one_endpoint_with_the_newest_metadata() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/b", value(A, 1), None).await.unwrap();
    client.put("user/a", value(A, 2), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*2"]).await;
    client.delete("user/a", None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1"]).await;
    assert_eq!(seen.list.len(), 1);
}

#[tokio::test]
async fn a_long_list_comes_whole() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    const SERVERS: usize = 2500;
    let addresses: Vec<_> = (0..SERVERS)
        .map(|n| format!("10.0.{}.{}:80", n / 250, n % 250))
        .collect();
    for addresses in addresses.chunks(100) {
        let put = |address: &String| {
            let key = format!("user/{address}");
            etcd_client::TxnOp::put(key, value(address, 1), None)
        };
        let puts: Vec<_> = addresses.iter().map(put).collect();
        client
            .txn(etcd_client::Txn::new().and_then(puts))
            .await
            .unwrap();
    }
    let mut seen = Seen::of(Etcd::new(patient(&server)).unwrap(), "user");
    seen.until("all of them", |seen| seen.list.len() == SERVERS)
        .await;
    assert_eq!((seen.changes, seen.discover.stats().lists()), (SERVERS, 1));
}

#[tokio::test]
async fn everything_is_listed_again_from_time_to_time() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let config = EtcdConfig {
        relist_every: std::time::Duration::from_secs(1),
        ..patient(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    let stats = seen.discover.stats();
    let twice = eventually("two more lists", || stats.lists() >= 3);
    seen.meanwhile(twice).await;
    assert_eq!(
        (seen.changes, seen.report.is_none()),
        (1, true),
        "and nothing is told"
    );
}

#[tokio::test]
async fn a_dropped_discovery_leaves_no_watch_behind() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    assert!(tasks.num_alive_tasks() > before, "the connection has tasks");
    drop(seen);
    eventually("all tasks end", || tasks.num_alive_tasks() <= before).await;
}
