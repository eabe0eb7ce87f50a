use std::time::Duration;

use evenkeel_discover::{CacheConfig, Change, DiscoverCache, DiscoverExt, Fallback, Filter};
use evenkeel_etcd::EtcdDiscover;
use evenkeel_testkit::{EtcdServer, eventually, within};
use futures_util::{FutureExt, Stream, StreamExt};

use crate::seen::{A, B, etcd, value};

fn with_version(address: &str, version: &str) -> String {
    format!(r#"{{"Addr":"{address}","Metadata":{{"version":"{version}"}}}}"#)
}

/// What a source says, until it says `last`.
async fn until<E: std::fmt::Display>(
    source: &mut (impl Stream<Item = Result<Change, E>> + Unpin),
    last: &str,
) -> Vec<String> {
    let mut said = Vec::new();
    while !said.iter().any(|one: &String| one.contains(last)) {
        let item = within(last, source.next()).await;
        said.push(match item.unwrap() {
            Ok(Change::Insert(key, _)) => format!("+{key}"),
            Ok(Change::Remove(key)) => format!("-{key}"),
            Err(report) => format!("!{report}"),
        });
    }
    said
}

#[tokio::test]
async fn two_etcds_are_one_list_and_the_outage_of_one_leaves_the_other() {
    let (Some(mut first), Some(second)) = (EtcdServer::start().await, EtcdServer::start().await)
    else {
        return;
    };
    let (mut here, mut there) = (first.client().await, second.client().await);
    here.put("user/1", with_version(A, "v2"), None)
        .await
        .unwrap();
    there
        .put("user/x", with_version(A, "v1"), None)
        .await
        .unwrap();
    there
        .put("user/y", with_version(B, "v1"), None)
        .await
        .unwrap();
    let mut merged = EtcdDiscover::watch(etcd(&first), "user")
        .merge("there", EtcdDiscover::watch(etcd(&second), "user"))
        .filter_endpoints(Filter::new().with_version("v2"))
        .with_fallback(Fallback::Any);
    let stats = merged.stats();
    // Whoever answers first, A is what the first one says of it in the end.
    eventually("both have answered", || {
        while let Some(item) = merged.next().now_or_never() {
            // On a busy machine a first try may fail.
            drop(item.unwrap());
        }
        (stats.known(), stats.matching()) == (2, 1)
    })
    .await;

    first.kill().await;
    let said = until(&mut merged, "!main: ").await;
    assert!(said.iter().all(|one| !one.ends_with("/1")), "{said:?}");
    there
        .put("user/z", with_version("10.0.0.3:80", "v2"), None)
        .await
        .unwrap();
    until(&mut merged, "+there/user/z").await;
    assert_eq!((stats.known(), stats.matching()), (3, 2));
}

#[tokio::test]
async fn a_cache_answers_while_etcd_is_gone() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let source = etcd(&server);
    let config = CacheConfig {
        timeout: Duration::from_secs(30),
        ..CacheConfig::default()
    };
    let cache = DiscoverCache::new(config, move |service| {
        EtcdDiscover::watch(source.clone(), service)
    });
    assert!(cache.warm_up(["user"]).await.is_empty());
    client.put("user/2", value(B, 1), None).await.unwrap();
    within("the second server", async {
        while cache.discover("user").await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.kill().await;
    within("a stale list", async {
        while cache.stats().stale() == 0 {
            assert_eq!(cache.discover("user").await.unwrap().len(), 2);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let error = cache.discover("order").await.unwrap_err();
    assert!(error.to_string().contains("unavailable"), "{error}");
}
