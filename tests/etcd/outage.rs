//! What happens to etcd, and what a client then sees.

use etcd_client::CompactionOptions;
use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Credentials, Etcd, EtcdConfig, KeepLast, OnLoss};
use evenkeel_testkit::{EtcdServer, Fault, FaultProxy, Log, PATIENCE, eventually};

use crate::seen::{A, B, Seen, config, etcd, keeping, value};

fn is_outage(seen: &Seen) -> bool {
    matches!(seen.report, Some(DiscoverError::Unavailable { .. }))
}

#[tokio::test]
async fn a_client_that_starts_before_etcd_says_so_and_catches_up() {
    let Some(mut server) = EtcdServer::prepare() else {
        return;
    };
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until("a report", |seen| seen.report.is_some()).await;
    let text = seen.report.as_ref().unwrap().to_string();
    let start = format!("etcd {} unavailable for ", server.endpoint());
    assert!(text.starts_with(&start), "{text}");
    assert!(text.to_lowercase().contains("connection refused"), "{text}");
    let stats = seen.discover.stats();
    assert!(stats.stale_since().is_some());

    server.start_again().await;
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let well = eventually("it is well", || stats.stale_since().is_none());
    seen.meanwhile(well).await;
}

#[tokio::test]
async fn a_stopped_etcd_costs_no_endpoint_and_what_changed_is_caught_up() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/2", value(B, 1), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;

    server.stop().await;
    seen.until("the outage is reported", is_outage).await;
    assert_eq!((seen.list.len(), seen.changes), (2, 2));

    // Nobody watches while this changes.
    server.start_again().await;
    let mut client = server.client().await;
    client.delete("user/2", None).await.unwrap();
    client.put("user/1", value(A, 5), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*5"]).await;
}

#[tokio::test]
async fn the_end_of_an_outage_is_told_even_if_nothing_has_changed() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.kill().await;
    seen.until("the outage is reported", is_outage).await;
    server.start_again().await;
    seen.until("its end is told", |seen| seen.report.is_none())
        .await;
    assert_eq!(
        (seen.addresses(), seen.changes),
        (vec!["10.0.0.1:80*1".into()], 2)
    );
}

#[tokio::test]
async fn an_etcd_that_hangs_is_noticed_by_its_silence() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let config = EtcdConfig {
        keep_alive_interval: std::time::Duration::from_secs(5),
        keep_alive_timeout: std::time::Duration::from_millis(500),
        ..config(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.pause();
    seen.until("the silence is reported", is_outage).await;
    assert_eq!(seen.list.len(), 1);
    server.resume();
    client.put("user/1", value(A, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
}

#[tokio::test]
async fn a_compaction_during_the_outage_is_no_trouble() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.stop().await;
    seen.until("the outage is reported", is_outage).await;

    server.start_again().await;
    let mut client = server.client().await;
    client.put("user/2", value(B, 1), None).await.unwrap();
    let deleted = client.delete("user/1", None).await.unwrap();
    let revision = deleted.header().unwrap().revision();
    let physical = CompactionOptions::new().with_physical();
    client.compact(revision, Some(physical)).await.unwrap();
    seen.until_list(&["10.0.0.2:80*1"]).await;
}

#[tokio::test]
async fn a_watch_that_is_behind_a_compaction_ends_and_everything_is_listed_again() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let address = server.endpoint();
    let address = address.trim_start_matches("http://").parse().unwrap();
    let line = FaultProxy::start(address).await.unwrap();
    let client = server.client().await;
    let put = |weight: u32| {
        let mut client = client.clone();
        // Large, so that the network holds few of them.
        let filler = "x".repeat(2000);
        let metadata = format!(r#"{{"weight":{weight},"filler":"{filler}"}}"#);
        let value = format!(r#"{{"Op":0,"Addr":"{A}","Metadata":{metadata}}}"#);
        async move {
            let put = client.put("user/1", value, None).await.unwrap();
            put.header().unwrap().revision()
        }
    };
    put(1).await;
    let patient = EtcdConfig {
        endpoints: vec![format!("http://{}", line.address())],
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        check_every: PATIENCE,
        keep_alive_interval: PATIENCE,
        ..config(&server)
    };
    let log = Log::start();
    let mut seen = Seen::of(Etcd::new(patient).unwrap(), "user");
    let stats = seen.discover.stats();
    let watched = eventually("a watch", || stats.watches() == 1);
    seen.meanwhile(watched).await;

    line.set(Fault::Pause).await;
    // etcd holds 1024 answers of a watch that nobody reads; what comes then it takes from its history.
    for weight in 0..100 {
        let puts = (0..16).map(|n| put(10 + 16 * weight + n));
        futures_util::future::join_all(puts).await;
    }
    let last = put(5000).await;
    client.clone().compact(last, None).await.unwrap();
    line.set(Fault::Pass).await;
    seen.until_list(&["10.0.0.1:80*5000"]).await;
    let ended = log.lines_with("compacted up to revision");
    assert!(!ended.is_empty() && stats.lists() == 2, "{ended:?}");
    put(5001).await;
    seen.until_list(&["10.0.0.1:80*5001"]).await;
}

#[tokio::test]
async fn an_etcd_that_starts_from_nothing_is_believed() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    for weight in 1..20 {
        client.put("user/1", value(A, weight), None).await.unwrap();
    }
    let mut seen = Seen::of(etcd(&server), "user");
    seen.until_list(&["10.0.0.1:80*19"]).await;
    server.kill().await;
    server.wipe();
    server.start_again().await;
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/2", value(B, 1), None).await.unwrap();
    // Its revisions are lower than those the client has seen.
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    client.put("user/2", value(B, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*2"]).await;
}

#[tokio::test]
async fn whom_an_etcd_without_its_data_misses_is_kept_for_a_while() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/2", value(B, 1), None).await.unwrap();
    let both: &[&str] = &["10.0.0.1:80*1", "10.0.0.2:80*1"];
    let mut seen = Seen::of(Etcd::new(keeping(&server)).unwrap(), "user");
    seen.until_list(both).await;
    server.kill().await;
    server.wipe();
    server.start_again().await;

    // A watch is what tells the end of an outage, so this is after the empty list.
    let stats = seen.discover.stats();
    let watched = eventually("a watch of the empty one", || {
        stats.lists() >= 2 && stats.stale_since().is_none()
    });
    seen.meanwhile(watched).await;
    assert_eq!((seen.addresses().len(), seen.changes), (2, 2));
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/2", value(B, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*2"]).await;
    assert_eq!(seen.changes, 3, "one weight is all that is new");
    client.delete("user/1", None).await.unwrap();
    seen.until_list(&["10.0.0.2:80*2"]).await;
}

#[tokio::test]
async fn whom_an_etcd_without_its_data_does_not_learn_of_again_goes() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let shortly = EtcdConfig {
        on_loss: OnLoss::KeepLast(KeepLast {
            limit: std::time::Duration::from_millis(300),
            ..KeepLast::default()
        }),
        ..config(&server)
    };
    let mut seen = Seen::of(Etcd::new(shortly).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.kill().await;
    server.wipe();
    server.start_again().await;
    seen.until("it is given up", |seen| seen.list.is_empty())
        .await;
    seen.until("a report", |seen| {
        matches!(seen.report, Some(DiscoverError::Empty { .. }))
    })
    .await;
}

#[tokio::test]
async fn with_authentication_a_right_password_works_and_a_wrong_one_is_reported_at_once() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.user_add("root", "right", None).await.unwrap();
    client.role_add("root").await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.auth_enable().await.unwrap();

    let with = |password: &str| {
        let credentials = Credentials {
            name: "root".into(),
            password: password.into(),
        };
        let config = EtcdConfig {
            credentials: Some(credentials),
            request_timeout: std::time::Duration::from_secs(5),
            report_after: std::time::Duration::from_secs(3600),
            ..config(&server)
        };
        Etcd::new(config).unwrap()
    };
    let mut refused = Seen::of(with("wrong"), "user");
    refused.until("a refusal", is_outage).await;
    let text = refused.report.unwrap().to_string();
    assert!(text.contains("authentication failed"), "{text}");

    let mut seen = Seen::of(with("right"), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_passed_over() {
    let (Some(server), Some(dead)) = (EtcdServer::start().await, EtcdServer::prepare()) else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    for endpoints in [
        vec![dead.endpoint(), server.endpoint()],
        vec![server.endpoint(), dead.endpoint()],
    ] {
        let config = EtcdConfig {
            endpoints,
            report_after: std::time::Duration::from_secs(3600),
            ..config(&server)
        };
        let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
        seen.until_list(&["10.0.0.1:80*1"]).await;
    }
}
