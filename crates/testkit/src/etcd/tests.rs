use std::time::Duration;

use etcd_client::{Client, GetOptions};

use super::*;
use crate::within;

/// The id of the cluster and its revision.
async fn history(client: &mut Client) -> (u64, i64) {
    let answer = client.get("key", None).await.unwrap();
    let header = answer.header().unwrap();
    (header.cluster_id(), header.revision())
}

#[tokio::test]
async fn it_serves_stops_and_comes_back_with_its_data() {
    let Some(mut etcd) = EtcdServer::start().await else {
        return;
    };
    let endpoint = etcd.endpoint();
    let mut client = etcd.client().await;
    client.put("key", "value", None).await.unwrap();
    let before = history(&mut client).await;
    etcd.stop().await;
    etcd.start_again().await;
    assert_eq!(etcd.endpoint(), endpoint);
    let mut client = etcd.client().await;
    assert_eq!(history(&mut client).await, before);
    assert_eq!(client.get("key", None).await.unwrap().count(), 1);
    etcd.kill().await;
    etcd.wipe();
    etcd.start_again().await;
    let mut client = etcd.client().await;
    let (id, revision) = history(&mut client).await;
    assert!(id != before.0, "it is the same cluster");
    assert_eq!(revision, 1);
    assert_eq!(client.get("key", None).await.unwrap().count(), 0);
}

#[tokio::test]
async fn a_restored_one_is_the_same_cluster_of_an_earlier_time() {
    let Some(mut etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    client.put("key", "old", None).await.unwrap();
    let before = history(&mut client).await;
    etcd.stop().await;
    let backup = etcd.backup();
    etcd.start_again().await;
    let mut client = etcd.client().await;
    for _ in 0..3 {
        client.put("key", "new", None).await.unwrap();
    }
    etcd.kill().await;
    etcd.restore(&backup);
    etcd.start_again().await;
    let mut client = etcd.client().await;
    assert_eq!(history(&mut client).await, before);
    let found = client.get("key", None).await.unwrap();
    assert_eq!(found.kvs()[0].value(), b"old");
}

#[tokio::test]
async fn what_is_compacted_cannot_be_read() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut client = etcd.client().await;
    client.put("key", "old", None).await.unwrap();
    client.put("key", "new", None).await.unwrap();
    let (_, revision) = history(&mut client).await;
    etcd.compact(revision).await;
    let old = GetOptions::new().with_revision(revision - 1);
    let error = client.get("key", Some(old)).await.unwrap_err().to_string();
    assert!(error.contains("compacted"), "{error}");
}

#[tokio::test]
async fn a_paused_one_hangs_and_dropping_it_ends_it() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    etcd.pause();
    let mut client = etcd.client().await;
    let hang = tokio::time::timeout(Duration::from_millis(50), client.get("key", None));
    assert!(hang.await.is_err(), "it answers although it is paused");
    let pid = etcd.process.as_ref().unwrap().id();
    let folder = etcd.folder.path().to_owned();
    drop(etcd);
    assert!(rustix::process::test_kill_process(pid).is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_cluster_outlives_its_leader_and_not_its_majority() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut client = cluster.client().await;
    client.put("key", "value", None).await.unwrap();
    let before = history(&mut client).await;
    let first = cluster.leader().await;
    cluster.member(first).kill().await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    cluster.member(second).pause();
    let last = (0..EtcdCluster::MEMBERS).find(|n| ![first, second].contains(n));
    let mut client = cluster.member(last.unwrap()).client().await;
    let hang = tokio::time::timeout(Duration::from_millis(200), client.get("key", None));
    assert!(!matches!(hang.await, Ok(Ok(_))), "one of three answers");
    cluster.member(second).resume();
    cluster.member(first).start_again().await;
    cluster.leader().await;
    assert_eq!(history(&mut client).await, before);

    cluster.stop().await;
    cluster.wipe();
    cluster.member(0).launch();
    cluster.start_again().await;
    let (id, revision) = within("an answer", history(&mut client)).await;
    assert!(id != before.0, "it is the same cluster");
    assert_eq!(revision, 1);
}
