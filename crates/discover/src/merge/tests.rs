use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::*;
use crate::testing::{Item, insert, remove, said, script, unavailable};
use crate::{CacheConfig, DiscoverCache, DiscoverExt, KeepLastGoodConfig, StaticDiscover};

#[tokio::test]
async fn a_server_of_two_sources_is_one_endpoint_until_the_last_lets_it_go() {
    let (first, a) = script();
    let (second, b) = script();
    let mut merged = MergeDiscover::new().with("a", a).with("b", b);
    second.send(insert("x", 1, "b")).unwrap();
    assert_eq!(said(&mut merged), ["+b/x=1b"]);
    first.send(insert("x", 1, "a")).unwrap();
    assert_eq!(
        said(&mut merged),
        ["+b/x=1a"],
        "the first source's metadata"
    );
    second.send(insert("x", 1, "new")).unwrap();
    assert!(said(&mut merged).is_empty());
    second.send(remove("x")).unwrap();
    assert!(said(&mut merged).is_empty(), "the first has it");
    second.send(insert("y", 1, "new")).unwrap();
    first.send(remove("x")).unwrap();
    assert_eq!(said(&mut merged), ["+b/x=1new"]);
    second.send(remove("y")).unwrap();
    assert_eq!(said(&mut merged), ["-b/x"]);
}

#[tokio::test]
async fn equal_keys_and_names_are_kept_apart() {
    let (first, a) = script();
    let (second, b) = script();
    let (third, c) = script();
    let mut merged = a.merge("main", b).with("main", c);
    for (host, say) in (1..).zip([&first, &second, &third]) {
        say.send(insert("x", host, "")).unwrap();
    }
    assert_eq!(
        said(&mut merged),
        ["+main/x=1", "+main-2/x=2", "+main-3/x=3"]
    );
}

const ANY: &str = "an endpoint as it was";

/// With `ANY` instead of the last one, if that is an endpoint.
fn any(mut said: Vec<String>) -> Vec<String> {
    if let Some(last) = said.last_mut().filter(|last| last.starts_with('+')) {
        ANY.clone_into(last);
    }
    said
}

#[tokio::test]
async fn an_outage_is_reported_by_name_and_its_end_is_told() {
    let (first, a) = script();
    let (second, b) = script();
    let mut merged = MergeDiscover::new().with("a", a).with("b", b);
    first.send(insert("x", 1, "")).unwrap();
    assert_eq!(said(&mut merged), ["+a/x=1"]);
    first.send(Err(unavailable("etcd"))).unwrap();
    second.send(insert("x", 2, "")).unwrap();
    assert_eq!(
        any(said(&mut merged)),
        ["+b/x=2", "!a: etcd unavailable: unplugged", ANY]
    );
    first.send(Err(unavailable("etcd"))).unwrap();
    second.send(insert("x", 2, "")).unwrap();
    assert!(any(said(&mut merged)).is_empty(), "told once");
    second.send(Err(unavailable("dns"))).unwrap();
    assert_eq!(said(&mut merged), ["!b: dns unavailable: unplugged"]);
    first.send(Err(unavailable("etcd"))).unwrap();
    assert_eq!(said(&mut merged), ["!a: etcd unavailable: unplugged"]);
    first.send(insert("x", 1, "")).unwrap();
    assert_eq!(any(said(&mut merged)), [ANY], "one is well again");
    first.send(insert("x", 1, "")).unwrap();
    second.send(insert("x", 2, "")).unwrap();
    assert!(said(&mut merged).is_empty(), "told once");
}

#[tokio::test]
async fn names_cannot_be_mistaken_for_keys() {
    let (first, a) = script();
    let (second, b) = script();
    let mut merged = MergeDiscover::new().with("a", a).with("a/b", b);
    first.send(insert("b/x", 1, "")).unwrap();
    second.send(insert("x", 2, "")).unwrap();
    assert_eq!(said(&mut merged), ["+a/b/x=1", "+a-b/x=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_cache_over_it_believes_the_others_for_ever() {
    let (first, a) = script();
    let (second, b) = script();
    let sources = parking_lot::Mutex::new(Some((a, b)));
    let cache = DiscoverCache::new(CacheConfig::default(), move |_| {
        let (a, b) = sources.lock().take().unwrap();
        MergeDiscover::new()
            .with("a", a)
            .with("b", b)
            .with("seed", stream::iter([insert("s", 3, "")]))
    });
    first.send(insert("x", 1, "")).unwrap();
    second.send(insert("x", 2, "")).unwrap();
    cache.discover("user").await.unwrap();
    let stale = cache.stats().stale();
    for _ in 0..100 {
        first.send(Err(unavailable("etcd"))).unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(cache.discover("user").await.unwrap().len(), 3);
    }
    assert_eq!(cache.stats().stale(), stale);
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_elsewhere_is_let_go_by_keep_last_good() {
    let (first, a) = script();
    let (second, b) = script();
    let merged = MergeDiscover::new().with("a", a).with("b", b);
    let mut kept = merged.keep_last_good(KeepLastGoodConfig::default());
    for host in 1..=4 {
        second.send(insert(&format!("{host}"), host, "")).unwrap();
    }
    said(&mut kept);
    for host in 1..=3 {
        second.send(remove(&format!("{host}"))).unwrap();
    }
    said(&mut kept);
    assert_eq!(kept.stats().held(), 3);
    first.send(Err(unavailable("etcd"))).unwrap();
    said(&mut kept);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(said(&mut kept).len(), 3);
    assert_eq!(kept.stats().held(), 0);
}

#[tokio::test]
async fn it_is_empty_when_each_source_has_said_so() {
    let (first, a) = script();
    let (second, b) = script();
    let mut merged = MergeDiscover::new().with("a", a).with("b", b);
    let empty = |registry: &str| -> Item { Err(DiscoverError::empty(registry, "user")) };
    first.send(empty("etcd")).unwrap();
    assert!(said(&mut merged).is_empty(), "the second has not answered");
    second.send(empty("dns")).unwrap();
    let report = concat!(
        r#"!no endpoint of "user" is registered in a: etcd; "#,
        r#"no endpoint of "user" is registered in b: dns"#
    );
    assert_eq!(said(&mut merged), [report]);
    second.send(empty("dns")).unwrap();
    assert!(said(&mut merged).is_empty(), "once");
    second.send(Err(unavailable("dns"))).unwrap();
    assert_eq!(said(&mut merged), ["!b: dns unavailable: unplugged"]);
    second.send(empty("dns")).unwrap();
    assert_eq!(
        said(&mut merged),
        [report],
        "again, as it is not out any more"
    );
    second.send(insert("x", 1, "")).unwrap();
    second.send(remove("x")).unwrap();
    second.send(empty("dns")).unwrap();
    assert!(said(&mut merged).is_empty(), "nobody came");
    second.send(insert("x", 1, "")).unwrap();
    assert_eq!(said(&mut merged), ["+b/x=1"]);
    second.send(remove("x")).unwrap();
    second.send(empty("dns")).unwrap();
    assert_eq!(said(&mut merged), ["-b/x", report]);
}

#[tokio::test]
async fn what_has_ended_keeps_its_endpoints_and_the_others_go_on() {
    let (second, b) = script();
    let ended = stream::iter([insert("x", 1, "")]);
    let mut merged = ended.merge("b", b);
    assert_eq!(
        said(&mut merged),
        [
            "+main/x=1",
            "!main unavailable: the source has ended",
            "+main/x=1"
        ],
        "and its list is well"
    );
    second.send(insert("x", 2, "")).unwrap();
    assert_eq!(said(&mut merged), ["+b/x=2"]);
    drop(second);
    assert_eq!(said(&mut merged).len(), 2);
    assert!(merged.next().now_or_never().is_none(), "it never ends");
}

#[tokio::test]
async fn foreign_errors_are_reports() {
    let foreign = stream::iter([
        insert("x", 1, "").map_err(|_| std::io::Error::other("")),
        Err(std::io::Error::other("no route")),
    ]);
    let mut merged = MergeDiscover::new()
        .with("consul", foreign.chain(stream::pending()))
        .with("seed", StaticDiscover::new([]));
    assert_eq!(
        said(&mut merged),
        ["+consul/x=1", "!consul: the source unavailable: no route"]
    );
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u8, u8),
    Remove(usize, u8),
    Tell,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 0..4_u8, 0..3_u8).prop_map(|(source, host, v)| Step::Insert(source, host, v)),
        3 => (0..3_usize, 0..4_u8).prop_map(|(source, host)| Step::Remove(source, host)),
        2 => Just(Step::Tell),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// After any changes, the merged list has each server once, as the first source that has it
    /// describes it.
    #[test]
    fn what_was_told_is_the_union(steps in steps()) {
        let (says, sources): (Vec<_>, Vec<_>) = (0..3).map(|_| script()).unzip();
        let mut merged = MergeDiscover::new();
        for source in sources {
            merged = merged.with("it", source);
        }
        let mut lists = [const { BTreeMap::<u8, Endpoint>::new() }; 3];
        let mut told = BTreeMap::<EndpointKey, Endpoint>::new();
        for step in steps.into_iter().chain([Step::Tell]) {
            match step {
                Step::Insert(source, host, version) => {
                    let item = insert(&format!("k{host}"), host, &format!("v{version}"));
                    if let Ok(Change::Insert(_, endpoint)) = &item {
                        lists[source].insert(host, endpoint.clone());
                    }
                    says[source].send(item).unwrap();
                }
                Step::Remove(source, host) => {
                    lists[source].remove(&host);
                    says[source].send(remove(&format!("k{host}"))).unwrap();
                }
                Step::Tell => {
                    while let Some(Some(item)) = merged.next().now_or_never() {
                        match item.unwrap() {
                            Change::Insert(key, endpoint) => drop(told.insert(key, endpoint)),
                            Change::Remove(key) => prop_assert!(told.remove(&key).is_some()),
                        }
                    }
                    let mut expected = BTreeMap::<u8, Endpoint>::new();
                    for list in lists.iter().rev() {
                        expected.extend(list.clone());
                    }
                    let seen = told.values().map(ToString::to_string).collect::<Vec<_>>();
                    prop_assert_eq!(seen.len(), expected.len());
                    for endpoint in expected.values() {
                        prop_assert!(told.values().any(|one| one == endpoint));
                    }
                }
            }
        }
    }
}
