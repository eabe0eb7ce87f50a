//! Discoveries of one service over clones of one `Etcd`.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel::Channel;
use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover};
use evenkeel_testkit::{EtcdServer, eventually, within};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::seen::{A, B, Seen, config, etcd, value};

/// How many watches etcd says it serves.
async fn watchers(server: &EtcdServer) -> f64 {
    let endpoint = server.endpoint();
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let mut lines = answer.lines();
    let total = lines.find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    total.expect("etcd counts them").parse().unwrap()
}

async fn until_watchers(server: &EtcdServer, expected: f64) {
    let counted = async {
        while watchers(server).await != expected {
            tokio::task::yield_now().await;
        }
    };
    within("etcd serves as many watches as expected", counted).await;
}

#[tokio::test]
async fn fifty_discoveries_of_a_service_cost_etcd_one_list_and_one_watch() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let etcd = etcd(&server);
    let mut all: Vec<_> = (0..50).map(|_| Seen::of(etcd.clone(), "user")).collect();
    for seen in &mut all {
        seen.until_list(&["10.0.0.1:80*1"]).await;
    }
    client.put("user/2", value(B, 1), None).await.unwrap();
    for seen in &mut all {
        seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
        assert_eq!(seen.changes, 2);
    }
    let stats = all[0].discover.stats();
    assert_eq!((stats.lists(), stats.watches()), (1, 1));
    until_watchers(&server, 1.0).await;

    // Another service is another watch, and so is another `Etcd`.
    let mut admin = Seen::of(etcd.clone(), "user-admin");
    admin.until("a report", |seen| seen.report.is_some()).await;
    let mut other = Seen::of(self::etcd(&server), "user/");
    other.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*1"]).await;
    until_watchers(&server, 3.0).await;
    drop((admin, other));
    until_watchers(&server, 1.0).await;
    all.truncate(1);
    client.delete("user/2", None).await.unwrap();
    all[0].until_list(&["10.0.0.1:80*1"]).await;
    drop(all);
    until_watchers(&server, 0.0).await;

    // And it begins anew.
    let mut again = Seen::of(etcd, "user");
    again.until_list(&["10.0.0.1:80*1"]).await;
    assert_eq!(again.discover.stats().lists(), 1);
}

#[tokio::test]
async fn channels_over_one_etcd_share_the_watch() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let etcd = etcd(&server);
    let channel = || {
        let builder = Channel::builder("etcd:///user").etcd(etcd.clone());
        builder.build().unwrap()
    };
    let channels = [channel(), channel(), channel()];
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    for channel in &channels {
        eventually("the endpoint", || channel.endpoints().len() == 1).await;
    }
    until_watchers(&server, 1.0).await;
    let stats = etcd.discover_stats("user").expect("it is discovered");
    assert!(stats.stale_since().is_none() && stats.lists() == 1);
    assert!(etcd.discover_stats("user-admin").is_none());
    drop(channels);
    until_watchers(&server, 0.0).await;
    assert!(etcd.discover_stats("user").is_none());
}

#[tokio::test]
async fn one_that_comes_later_has_the_list_at_once_even_without_etcd() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let etcd = etcd(&server);
    let mut first = Seen::of(etcd.clone(), "user");
    first.until_list(&["10.0.0.1:80*1"]).await;
    server.kill().await;
    let is_down = |seen: &Seen| matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
    first.until("the outage is reported", is_down).await;

    let mut late = Seen::of(etcd, "user");
    late.next().await;
    assert_eq!(late.addresses(), ["10.0.0.1:80*1"]);
    late.next().await;
    assert!(is_down(&late), "and it is told that the list may be old");
    server.start_again().await;
    late.until("the end of it", |seen| seen.report.is_none())
        .await;
    first
        .until("the end of it", |seen| seen.report.is_none())
        .await;
}

#[tokio::test]
async fn one_that_is_not_polled_holds_up_nobody_and_catches_up() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    let etcd = etcd(&server);
    let never = EtcdDiscover::watch(etcd.clone(), "user");
    let mut asleep = Seen::of(etcd.clone(), "user");
    asleep.until_list(&["10.0.0.1:80*1"]).await;
    let mut awake = Seen::of(etcd, "user");
    for weight in 2..=400 {
        client.put("user/1", value(A, weight), None).await.unwrap();
    }
    client.put("user/2", value(B, 1), None).await.unwrap();
    let expected = &["10.0.0.1:80*400", "10.0.0.2:80*1"];
    awake.until_list(expected).await;
    asleep.until_list(expected).await;
    assert_eq!(asleep.changes, 3, "only what is new is told");
    drop(never);
}

#[test]
fn when_the_runtime_that_drives_it_ends_another_one_does() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let Some(server) = first.block_on(EtcdServer::start()) else {
        return;
    };
    let etcd = etcd(&server);
    let (mut a, mut b) = (Seen::of(etcd.clone(), "user"), Seen::of(etcd, "user"));
    let put = |n: u32, address: &'static str| {
        let server = &server;
        async move {
            let mut client = server.client().await;
            let key = format!("user/{n}");
            client.put(key, value(address, n), None).await.unwrap();
        }
    };
    first.block_on(async {
        put(1, A).await;
        a.until_list(&["10.0.0.1:80*1"]).await;
    });
    let waiting = second.spawn(async move {
        b.until_list(&["10.0.0.1:80*1", "10.0.0.2:80*2"]).await;
        (b.discover.stats().lists(), b.changes)
    });
    drop(first);
    second.block_on(put(2, B));
    let (lists, changes) = second.block_on(waiting).unwrap();
    assert_eq!((lists, changes), (2, 2));
    drop(a);
}

#[test]
fn without_a_runtime_it_says_so_and_does_not_panic() {
    let etcd = Etcd::new(EtcdConfig::default()).unwrap();
    let mut discover = EtcdDiscover::watch(etcd, "user");
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Err(report))) = discover.poll_next_unpin(&mut cx) else {
        panic!("nothing is said");
    };
    assert!(report.to_string().contains("Tokio runtime"), "{report}");
    assert!(discover.poll_next_unpin(&mut cx).is_pending());
    drop(discover);
}

#[tokio::test]
async fn its_task_ends_with_the_last_of_them() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let etcd = etcd(&server);
    let mut one = Seen::of(etcd.clone(), "user");
    let mut two = Seen::of(etcd.clone(), "user");
    one.until("a report", |seen| seen.report.is_some()).await;
    two.until("a report", |seen| seen.report.is_some()).await;
    drop(one);
    let mut client = server.client().await;
    client.put("user/1", value(A, 1), None).await.unwrap();
    two.until_list(&["10.0.0.1:80*1"]).await;
    drop((two, client, etcd));
    eventually("all tasks end", || tasks.num_alive_tasks() <= before).await;
}

/// How many changes of a hundred are told to one who is always there, and how long these take.
async fn told_of_a_hundred(coalesce: Duration) -> Option<(u64, Duration)> {
    let server = EtcdServer::start().await?;
    let mut client = server.client().await;
    client.put("user/1", value(A, 0), None).await.unwrap();
    let etcd = Etcd::new(EtcdConfig {
        coalesce,
        ..config(&server)
    });
    let mut seen = Seen::of(etcd.unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*0"]).await;
    let begin = Instant::now();
    // A task of its own: one that is woken for something else looks at what there is all the same.
    let mut puts = JoinSet::new();
    puts.spawn(async move {
        for weight in 1..=100 {
            client.put("user/1", value(A, weight), None).await.unwrap();
        }
    });
    seen.meanwhile(puts.join_all()).await;
    seen.until_list(&["10.0.0.1:80*100"]).await;
    let told = u64::try_from(seen.changes).unwrap() - 1;
    Some((told, begin.elapsed()))
}

#[tokio::test]
async fn changes_that_follow_each_other_quickly_are_told_together() {
    let Some((told, took)) = told_of_a_hundred(Duration::from_secs(1)).await else {
        return;
    };
    // One telling for each second that this took, however slow the machine is.
    let most = 2 + took.as_secs();
    assert!(told <= most, "{told} tellings of 100 changes");
}

#[tokio::test]
async fn who_wants_each_change_by_itself_is_told_of_it() {
    let Some((told, _)) = told_of_a_hundred(Duration::ZERO).await else {
        return;
    };
    // Not all: etcd itself, and the way from it, may put some together.
    assert!(told >= 20, "{told} tellings of 100 changes");
}
