use evenkeel_discover::DiscoverError;
use evenkeel_testkit::{EtcdServer, eventually};

use crate::seen::{Seen, etcd, value};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";

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
async fn a_client_that_starts_before_etcd_says_so_and_catches_up() {
    let Some(mut server) = EtcdServer::prepare() else {
        return;
    };
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until("a report", |seen| seen.report.is_some()).await;
    let text = seen.report.as_ref().unwrap().to_string();
    assert!(
        text.starts_with(&format!("etcd {} unavailable", server.endpoint())),
        "{text}"
    );
    assert!(text.to_lowercase().contains("connection refused"), "{text}");
    assert!(seen.discover.stats().stale_since().is_some());

    server.start_again().await;
    server
        .client()
        .await
        .put("user/1", value(A, 1), None)
        .await
        .unwrap();
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let stats = seen.discover.stats();
    let well = eventually("it is well", || stats.stale_since().is_none());
    seen.meanwhile(well).await;
}
