//! Watches and lists that are disturbed without a word.

use std::time::Duration;

use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Etcd, EtcdConfig};
use evenkeel_testkit::{EtcdServer, Log, eventually};

use crate::seen::{A, B, Seen, config, patient, value};

/// Pings are out of the way, and questions are as frequent as they may be.
fn asking(config: EtcdConfig) -> Etcd {
    let config = EtcdConfig {
        keep_alive_interval: Duration::MAX,
        progress_every: Duration::from_secs(1),
        ..config
    };
    Etcd::new(config).unwrap()
}

#[tokio::test]
async fn a_silent_watch_says_when_asked_that_it_is_alive() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(asking(patient(&server)), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let stats = seen.discover.stats();
    for round in 0..3 {
        // What others write moves etcd's revision, and the answer has the newest.
        client.put("other", format!("{round}"), None).await.unwrap();
        let before = stats.heard_at();
        let heard = eventually("etcd answers", || stats.heard_at() > before);
        seen.meanwhile(heard).await;
    }
    client.put("user/1", value(A, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
    assert_eq!((stats.lists(), stats.watches(), seen.changes), (1, 1, 2));
}

#[tokio::test]
async fn who_has_news_is_not_asked_whether_it_is_there() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let config = EtcdConfig {
        check_every: Duration::from_millis(300),
        ..patient(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let status = "grpc_server_started_total{grpc_method=\"Status\"";
    let before = server.metric(status).await;
    for weight in 0..60 {
        client.put("user/2", value(B, weight), None).await.unwrap();
        seen.meanwhile(tokio::time::sleep(Duration::from_millis(50)))
            .await;
    }
    let asked = server.metric(status).await - before;
    // A machine that stops for a moment is a silence; without news it is some ten.
    assert!(asked <= 4.0, "asked {asked} times, among 60 changes");
}

#[tokio::test]
async fn a_hanging_member_is_noticed_by_a_question_without_an_answer() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(asking(config(&server)), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.pause();
    seen.until("the silence is reported", |seen| {
        matches!(seen.report, Some(DiscoverError::Unavailable { .. }))
    })
    .await;
    assert_eq!(seen.list.len(), 1);
    server.resume();
    client.put("user/1", value(A, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
}

#[tokio::test]
async fn a_list_that_a_compaction_overtakes_begins_again_at_once() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    const SERVERS: usize = 300;
    for n in 0..SERVERS {
        let value = value(&format!("10.0.{}.{}:80", n / 250, n % 250), 1);
        let key = format!("user/{n:03}");
        client.put(key, value, None).await.unwrap();
    }
    let config = EtcdConfig {
        page: 1,
        ..patient(&server)
    };
    let log = Log::start();
    // Each attempt is 300 requests, and a compaction is two: one comes in between.
    let overtaken = async {
        loop {
            let mut seen = Seen::of(Etcd::new(config.clone()).unwrap(), "user");
            let compacting = async {
                loop {
                    let put = client.put("other", "", None).await.unwrap();
                    let revision = put.header().unwrap().revision();
                    client.compact(revision, None).await.unwrap();
                }
            };
            tokio::select! {
                () = seen.until("all of them", |seen| seen.list.len() == SERVERS) => {}
                () = compacting => unreachable!("it goes on for ever"),
            }
            let stats = seen.discover.stats();
            assert_eq!((stats.lists(), stats.stale_since()), (1, None));
            assert!(seen.report.is_none(), "it is no outage");
            if !log
                .lines_with("a compaction came between two pages")
                .is_empty()
            {
                return;
            }
        }
    };
    evenkeel_testkit::within("a compaction comes in between", overtaken).await;
}
