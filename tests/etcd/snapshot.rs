//! Clients that start from the last list while etcd is down.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Etcd, EtcdConfig};
use evenkeel_testkit::{EtcdServer, Log, eventually};
use tempfile::TempDir;

use crate::seen::{A, B, Seen, config, keeping, value};

fn with_snapshot(server: &EtcdServer, folder: &Path) -> Seen {
    let config = EtcdConfig {
        snapshot: Some(folder.to_owned()),
        ..config(server)
    };
    Seen::of(Etcd::new(config).unwrap(), "user")
}

fn file(folder: &Path) -> PathBuf {
    folder.join("user%2F.json")
}

fn is_outage(seen: &Seen) -> bool {
    matches!(seen.report, Some(DiscoverError::Unavailable { .. }))
}

/// An etcd that has two servers, and a folder whose snapshot has them too.
async fn written() -> Option<(EtcdServer, TempDir)> {
    let server = EtcdServer::start().await?;
    let folder = TempDir::new().unwrap();
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    client.put("user/2", value(B, 1), None).await.unwrap();
    let mut seen = with_snapshot(&server, folder.path());
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    let file = file(folder.path());
    eventually("the file", || file.exists()).await;
    Some((server, folder))
}

#[tokio::test]
async fn a_client_that_starts_while_etcd_is_down_has_the_last_list() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    server.kill().await;
    let log = Log::start();
    let mut seen = with_snapshot(&server, folder.path());
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    let stats = seen.discover.stats();
    assert!(stats.stale_since().is_some() && stats.lists() == 0);
    let said = log.lines_with("its last list is used");
    assert!(said.len() == 1 && said[0].contains("WARN"), "{said:?}");
    assert!(said[0].contains("user%2F.json") && said[0].contains("age"));
    seen.until("the outage is reported", is_outage).await;
    assert_eq!(seen.list.len(), 2);

    server.start_again().await;
    let mut client = server.client().await;
    client.delete("user/1", None).await.unwrap();
    client.put("user/2", value(B, 5), None).await.unwrap();
    seen.until_list(&["10.0.0.2:80*5"]).await;
    let well = eventually("it is well", || stats.stale_since().is_none());
    seen.meanwhile(well).await;
    let file = file(folder.path());
    eventually("the file has what is new", || {
        let text = fs::read_to_string(&file).unwrap();
        text.contains(r#"\"weight\":5"#) && !text.contains("user/1")
    })
    .await;
    let mut files = fs::read_dir(folder.path()).unwrap();
    assert!(files.next().is_some() && files.next().is_none(), "only it");
}

#[tokio::test]
async fn an_etcd_that_comes_back_without_its_data_does_not_empty_the_list_either() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    server.kill().await;
    server.wipe();
    let config = EtcdConfig {
        snapshot: Some(folder.path().to_owned()),
        ..keeping(&server)
    };
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    server.start_again().await;
    let stats = seen.discover.stats();
    let watched = eventually("the empty one is watched", || stats.stale_since().is_none());
    seen.meanwhile(watched).await;
    assert_eq!((seen.list.len(), stats.kept()), (2, 2));
    let mut client = server.client().await;
    client.put("user/new", value(A, 7), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*7", "10.0.0.2:80*1"]).await;
    assert_eq!(stats.kept(), 1);
    let text = fs::read_to_string(file(folder.path())).unwrap();
    assert!(
        text.contains("user/2"),
        "what is left is not written: {text}"
    );
}

#[tokio::test]
async fn an_etcd_that_hangs_is_not_waited_for() {
    let Some((server, folder)) = written().await else {
        return;
    };
    server.pause();
    let patient = EtcdConfig {
        snapshot: Some(folder.path().to_owned()),
        connect_timeout: std::time::Duration::from_secs(3600),
        request_timeout: std::time::Duration::from_secs(3600),
        ..config(&server)
    };
    let mut seen = Seen::of(Etcd::new(patient).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    // The list that was asked for is still under way, and comes.
    server.resume();
    let stats = seen.discover.stats();
    let listed = eventually("the list", || stats.stale_since().is_none());
    seen.meanwhile(listed).await;
    assert_eq!((seen.changes, stats.lists(), stats.watches()), (2, 1, 1));
}

#[tokio::test]
async fn when_etcd_answers_the_file_is_not_used() {
    let Some((server, folder)) = written().await else {
        return;
    };
    server.client().await.delete("user/1", None).await.unwrap();
    let mut seen = with_snapshot(&server, folder.path());
    seen.until_list(&["10.0.0.2:80*1"]).await;
    assert_eq!(seen.changes, 1);
}

#[tokio::test]
async fn a_file_that_is_too_old_is_not_used() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    server.kill().await;
    let file = file(folder.path());
    let text = fs::read_to_string(&file).unwrap();
    let (_, written_at) = text.split_once(r#""written_at":"#).unwrap();
    let written_at = written_at.trim_end_matches('}');
    let seconds: u64 = written_at.parse().unwrap();
    let start = async |hours: u64| {
        let before = (seconds - hours * 3600).to_string();
        fs::write(&file, text.replace(written_at, &before)).unwrap();
        let log = Log::start();
        let mut seen = with_snapshot(&server, folder.path());
        seen.until("the outage is reported", is_outage).await;
        (seen.list.len(), log.lines_with("is too old").len())
    };
    assert_eq!(start(23).await, (2, 0));
    assert_eq!(start(24).await, (0, 1));
}

#[tokio::test]
async fn whom_the_list_that_comes_after_the_file_misses_is_gone() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    let mut client = server.client().await;
    for n in 3..6 {
        let value = value(&format!("10.0.0.{n}:80"), 1);
        client.put(format!("user/{n}"), value, None).await.unwrap();
    }
    let config = EtcdConfig {
        snapshot: Some(folder.path().to_owned()),
        ..keeping(&server)
    };
    let etcd = || Etcd::new(config.clone()).unwrap();
    let mut seen = Seen::of(etcd(), "user");
    seen.until("all of them", |seen| seen.list.len() == 5).await;
    let file = file(folder.path());
    let has_all = || fs::read_to_string(&file).unwrap().contains("user/5");
    let has_all = eventually("the file has them", has_all);
    seen.meanwhile(has_all).await;
    drop(seen);
    // Most of them leave while nobody looks.
    for n in 2..6 {
        client.delete(format!("user/{n}"), None).await.unwrap();
    }
    server.kill().await;
    let mut seen = Seen::of(etcd(), "user");
    seen.until("the last list", |seen| seen.list.len() == 5)
        .await;
    server.start_again().await;
    seen.until_list(&["10.0.0.1:80*1"]).await;
    assert_eq!(seen.discover.stats().kept(), 0);
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_passed_over_and_mended() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    server.kill().await;
    let file = file(folder.path());
    let whole = fs::read_to_string(&file).unwrap();
    for text in [
        &whole[..whole.len() / 2],
        "",
        &whole.replace("user/", "admin/"),
        &whole.replace(r#""format":1"#, r#""format":9"#),
    ] {
        fs::write(&file, text).unwrap();
        let mut seen = with_snapshot(&server, folder.path());
        seen.until("the outage is reported", is_outage).await;
        let stats = seen.discover.stats();
        assert_eq!((seen.list.len(), stats.snapshot_errors()), (0, 1));
    }
    let mut seen = with_snapshot(&server, folder.path());
    seen.until("the outage is reported", is_outage).await;
    server.start_again().await;
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    let mended = || fs::read_to_string(&file).unwrap().contains("user/1");
    eventually("the file is as it should be", mended).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_a_warning_and_nothing_else() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let folder = TempDir::new().unwrap();
    let not_a_folder = folder.path().join("file");
    fs::write(&not_a_folder, "").unwrap();
    let log = Log::start();
    let mut seen = with_snapshot(&server, &not_a_folder);
    seen.until_list(&["10.0.0.1:80*1"]).await;
    let warned = || log.lines_with("the list cannot be written").len();
    eventually("a warning", || warned() == 1).await;
    client.put("user/1", value(A, 2), None).await.unwrap();
    seen.until_list(&["10.0.0.1:80*2"]).await;
    assert_eq!(warned(), 1);
}

#[tokio::test]
async fn an_empty_list_is_not_written_over_a_good_one() {
    let Some((mut server, folder)) = written().await else {
        return;
    };
    let mut seen = with_snapshot(&server, folder.path());
    seen.until("the list", |seen| seen.list.len() == 2).await;
    let options = etcd_client::DeleteOptions::new().with_prefix();
    let mut client = server.client().await;
    client.delete("user/", Some(options)).await.unwrap();
    seen.until("nobody is left", |seen| {
        matches!(seen.report, Some(DiscoverError::Empty { .. }))
    })
    .await;
    drop(seen);
    server.kill().await;
    let mut seen = with_snapshot(&server, folder.path());
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
}
