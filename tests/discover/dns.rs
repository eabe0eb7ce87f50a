use std::time::Duration;

use evenkeel_discover::{Change, DiscoverError, DnsConfig, DnsDiscover};
use evenkeel_testkit::{DnsMood, DnsServer, eventually, tasks, within};
use futures_util::StreamExt;

use crate::said::{next, some};

const NAME: &str = "users.test:80";

/// Asks again as soon as an answer allows.
fn config(server: &DnsServer) -> DnsConfig {
    DnsConfig {
        servers: vec![server.address()],
        min_ttl: Duration::from_millis(20),
        ..DnsConfig::default()
    }
}

fn discover(server: &DnsServer) -> DnsDiscover {
    DnsDiscover::new(NAME, config(server)).unwrap()
}

#[tokio::test]
async fn each_address_is_an_endpoint_and_the_list_follows_the_answers() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 0, ["10.0.0.1", "10.0.0.2", "::1"]);
    let mut source = discover(&server);
    assert_eq!(
        some(&mut source, 3).await,
        ["+[::1]:80", "+10.0.0.1:80", "+10.0.0.2:80"]
    );
    server.set_addresses("users.test", 0, ["10.0.0.2", "10.0.0.3"]);
    let mut changes = some(&mut source, 3).await;
    // One family may have been asked before that, and the other one after it.
    changes.sort();
    assert_eq!(changes, ["+10.0.0.3:80", "-10.0.0.1:80", "-[::1]:80"]);
}

#[tokio::test]
async fn an_outage_and_a_name_that_is_gone_keep_the_list_and_are_reported() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 0, ["10.0.0.1"]);
    let mut source = discover(&server);
    let handle = source.handle();
    assert_eq!(next(&mut source).await, "+10.0.0.1:80");

    server.be(DnsMood::Fails);
    let report = within("a report", source.next()).await.unwrap();
    let Err(report @ DiscoverError::Unavailable { .. }) = report else {
        panic!("{report:?}")
    };
    let text = report.to_string();
    let asked = format!("DNS {} unavailable", server.address());
    assert!(text.starts_with(&asked), "{text}");
    assert!(handle.failures() > 0 && handle.stale_since().is_some());

    server.be(DnsMood::Well);
    server.forget("users.test");
    let empty = format!(
        r#"no endpoint of "users.test:80" is registered in DNS {}"#,
        server.address()
    );
    assert_eq!(next(&mut source).await, empty);
    assert!(handle.stale_since().is_none());

    server.set_addresses("users.test", 0, ["10.0.0.1"]);
    assert_eq!(next(&mut source).await, "+10.0.0.1:80", "well again");
}

#[tokio::test]
async fn a_server_that_is_silent_is_reported_in_time_and_asked_again() {
    let server = DnsServer::start().unwrap();
    server.be(DnsMood::Silent);
    let timeout = Duration::from_millis(200);
    let config = DnsConfig {
        timeout,
        ..config(&server)
    };
    let mut source = DnsDiscover::new(NAME, config).unwrap();
    let report = next(&mut source).await;
    assert!(report.contains("unavailable"), "{report}");
    server.set_addresses("users.test", 0, ["10.0.0.1"]);
    server.be(DnsMood::Well);
    assert_eq!(next(&mut source).await, "+10.0.0.1:80");
}

#[tokio::test]
async fn a_family_that_cannot_be_asked_keeps_its_addresses() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 0, ["10.0.0.1", "::1"]);
    let mut source = discover(&server);
    assert_eq!(some(&mut source, 2).await, ["+[::1]:80", "+10.0.0.1:80"]);
    server.be(DnsMood::FailsForIpv6);
    server.set_addresses("users.test", 0, ["10.0.0.2", "::1"]);
    assert_eq!(some(&mut source, 2).await, ["+10.0.0.2:80", "-10.0.0.1:80"]);
}

#[tokio::test]
async fn a_long_answer_is_fetched_over_tcp() {
    let server = DnsServer::start().unwrap();
    let addresses: Vec<_> = (0..200).map(|last| format!("10.0.0.{last}")).collect();
    server.set_addresses("users.test", 60, addresses.iter().map(String::as_str));
    server.be(DnsMood::Truncates);
    let mut source = discover(&server);
    assert_eq!(some(&mut source, 200).await.len(), 200);
    let queries = server.queries();
    assert!(queries.iter().any(|query| query.over_tcp));
    assert!(queries.iter().any(|query| !query.over_tcp));
}

#[tokio::test]
async fn a_ttl_is_waited_for_unless_somebody_asks() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 3600, ["10.0.0.1"]);
    let mut source = discover(&server);
    let handle = source.handle();
    assert_eq!(next(&mut source).await, "+10.0.0.1:80");
    assert_eq!(handle.lookups(), 1);
    server.set_addresses("users.test", 3600, ["10.0.0.2"]);
    handle.resolve_now();
    assert_eq!(some(&mut source, 2).await, ["+10.0.0.2:80", "-10.0.0.1:80"]);
    assert_eq!(handle.lookups(), 2);
}

#[tokio::test]
async fn asking_all_the_time_is_no_more_than_asking_once() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 3600, ["10.0.0.1"]);
    let config = DnsConfig {
        min_ttl: Duration::from_secs(3600),
        ..config(&server)
    };
    let mut source = DnsDiscover::new(NAME, config).unwrap();
    let handle = source.handle();
    assert_eq!(next(&mut source).await, "+10.0.0.1:80");
    for _ in 0..100 {
        handle.resolve_now();
        assert!(futures_util::poll!(source.next()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!((handle.lookups(), server.queries().len()), (1, 2));
}

#[tokio::test]
async fn srv_records_are_endpoints_with_a_weight_and_all_addresses() {
    let server = DnsServer::start().unwrap();
    let name = "_grpc._tcp.users.test";
    server.set_addresses("a.test", 0, ["10.0.0.1", "::1"]);
    server.set_addresses("b.test", 0, ["10.0.0.2"]);
    server.set_addresses("backup.test", 0, ["10.0.0.3"]);
    let records = [
        (1, 10, 8090, "a.test"),
        (1, 30, 8091, "b.test"),
        (2, 0, 8092, "backup.test"),
    ];
    server.set_srv(name, 0, records);
    let mut source = DnsDiscover::new(name, config(&server)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Some(Ok(Change::Insert(key, endpoint))) = within("it", source.next()).await else {
            panic!()
        };
        let addresses = endpoint.addresses().iter().map(ToString::to_string);
        let addresses: Vec<_> = addresses.collect();
        seen.push((key.to_string(), addresses, endpoint.metadata().weight));
    }
    let expected = |key: &str, addresses: &[&str], weight| {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        (key.to_owned(), addresses, Some(weight))
    };
    assert_eq!(
        seen,
        [
            expected("a.test:8090", &["[::1]:8090", "10.0.0.1:8090"], 10.0),
            expected("b.test:8091", &["10.0.0.2:8091"], 30.0),
        ]
    );
    server.set_srv(name, 0, records[2..].iter().copied());
    let mut changes = some(&mut source, 3).await;
    changes.sort();
    assert_eq!(
        changes,
        ["+backup.test:8092", "-a.test:8090", "-b.test:8091"]
    );

    let all_priorities = true;
    server.set_srv(name, 0, records);
    let config = DnsConfig {
        all_priorities,
        ..config(&server)
    };
    let mut source = DnsDiscover::new(name, config).unwrap();
    assert_eq!(some(&mut source, 3).await[2], "+backup.test:8092");
}

#[tokio::test]
async fn nobody_is_asked_any_more_when_it_is_dropped() {
    let server = DnsServer::start().unwrap();
    server.set_addresses("users.test", 0, ["10.0.0.1"]);
    let mut source = discover(&server);
    next(&mut source).await;
    let handle = source.handle();
    {
        let lookups = handle.lookups();
        let mut more = std::pin::pin!(source.next());
        eventually("it asks again", || {
            assert!(futures_util::FutureExt::now_or_never(&mut more).is_none());
            handle.lookups() > lookups + 2
        })
        .await;
    }
    drop(source);
    tasks::at_most(0).await;
    let asked = || {
        let queries = server.queries();
        let its = queries.iter().filter(|query| query.name == "users.test.");
        its.count()
    };
    server.set_addresses("others.test", 0, ["10.0.0.2"]);
    let mut other = DnsDiscover::new("others.test:80", config(&server)).unwrap();
    // What was under way came before what this one asks.
    next(&mut other).await;
    let before = asked();
    handle.resolve_now();
    let lookups = other.handle();
    let mut more = std::pin::pin!(other.next());
    eventually("the time of many lookups", || {
        assert!(futures_util::FutureExt::now_or_never(&mut more).is_none());
        lookups.lookups() > 10
    })
    .await;
    assert_eq!(asked(), before);
}
