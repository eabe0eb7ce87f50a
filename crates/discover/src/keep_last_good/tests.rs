use std::collections::BTreeMap;

use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::*;
use crate::DiscoverExt;
use crate::testing::{Item, insert, remove, said, script, unavailable};

fn config() -> KeepLastGoodConfig {
    KeepLastGoodConfig::default()
}

fn fleet(hosts: u8) -> impl Iterator<Item = Item> {
    (1..=hosts).map(|host| insert(&format!("k{host}"), host, ""))
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_lost_stays_until_its_time_is_up() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    let stats = kept.stats();
    fleet(3).for_each(|item| say.send(item).unwrap());
    assert_eq!(said(&mut kept).len(), 3);
    for host in 1..=3 {
        say.send(remove(&format!("k{host}"))).unwrap();
    }
    say.send(Err(DiscoverError::empty("it", ""))).unwrap();
    assert_eq!(said(&mut kept), ["!it has no endpoints"]);
    assert_eq!((stats.held(), stats.losses()), (3, 1));
    assert_eq!(stats.stale_since(), Some(now()));

    say.send(insert("k1", 1, "")).unwrap();
    assert_eq!(said(&mut kept), ["+k1=1"]);
    pass(Duration::from_secs(599)).await;
    assert!(said(&mut kept).is_empty());
    pass(Duration::from_secs(1)).await;
    let mut gone = said(&mut kept);
    gone.sort();
    assert_eq!(gone, ["-k2", "-k3"]);
    assert_eq!((stats.held(), stats.released()), (0, 2));
    assert_eq!(stats.stale_since(), None);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_go_within_the_window() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    fleet(6).for_each(|item| say.send(item).unwrap());
    said(&mut kept);
    for host in 1..=3 {
        say.send(remove(&format!("k{host}"))).unwrap();
        assert_eq!(said(&mut kept), [format!("-k{host}")], "half of them");
    }
    say.send(remove("k4")).unwrap();
    assert!(said(&mut kept).is_empty(), "more than half within a second");
    pass(Duration::from_secs(1)).await;
    say.send(remove("k5")).unwrap();
    assert_eq!(said(&mut kept), ["-k5"], "one of the two that are listed");
    pass(Duration::from_secs(1)).await;
    say.send(remove("k6")).unwrap();
    assert!(said(&mut kept).is_empty(), "the last one");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_is_replaced_goes_at_once() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    fleet(2).for_each(|item| say.send(item).unwrap());
    said(&mut kept);
    for item in [insert("n1", 11, ""), insert("n2", 12, "")] {
        say.send(item).unwrap();
    }
    for key in ["k1", "k2"] {
        say.send(remove(key)).unwrap();
    }
    assert_eq!(said(&mut kept), ["+n1=11", "+n2=12", "-k1", "-k2"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_comes_back_under_another_key() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    say.send(insert("old", 1, "")).unwrap();
    say.send(remove("old")).unwrap();
    assert_eq!(said(&mut kept), ["+old=1"]);
    say.send(insert("new", 1, "")).unwrap();
    assert_eq!(said(&mut kept), ["+new=1", "-old"]);
    assert_eq!(kept.stats().held(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_gets_another_key_is_not_lost() {
    let (say, source) = script();
    let max_loss = 0.0;
    let mut kept = source.keep_last_good(KeepLastGoodConfig {
        max_loss,
        ..config()
    });
    fleet(2).for_each(|item| say.send(item).unwrap());
    said(&mut kept);
    for item in [remove("k1"), insert("n1", 1, ""), remove("k2")] {
        say.send(item).unwrap();
    }
    assert_eq!(said(&mut kept), ["+n1=1", "-k1"]);
    assert_eq!((kept.stats().held(), kept.stats().losses()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn time_stands_still_while_the_source_is_out() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    fleet(2).for_each(|item| say.send(item).unwrap());
    for key in ["k1", "k2"] {
        say.send(remove(key)).unwrap();
    }
    say.send(Err(unavailable("it"))).unwrap();
    said(&mut kept);
    assert_eq!(kept.stats().held(), 2);
    pass(Duration::from_secs(6000)).await;
    assert!(said(&mut kept).is_empty());
    say.send(insert("k1", 1, "")).unwrap();
    assert_eq!(said(&mut kept), ["+k1=1"], "the other may come in a moment");
    pass(Duration::from_secs(600)).await;
    assert_eq!(said(&mut kept), ["-k2"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_over_when_the_source_says_that_it_is_empty() {
    let (say, source) = script();
    let mut kept = source.keep_last_good(config());
    let empty = || Err(DiscoverError::empty("it", ""));
    fleet(2).for_each(|item| say.send(item).unwrap());
    for key in ["k1", "k2"] {
        say.send(remove(key)).unwrap();
    }
    for item in [empty(), Err(unavailable("it")), empty()] {
        say.send(item).unwrap();
        said(&mut kept);
    }
    pass(Duration::from_secs(600)).await;
    assert_eq!(said(&mut kept).len(), 2, "both go");
    assert_eq!(kept.stats().stale_since(), None);
}

#[tokio::test(start_paused = true)]
async fn the_next_source_may_be_empty() {
    let mut made = 0_u8;
    let mut kept = KeepLastGood::restarting(
        move || {
            made += 1;
            match made {
                1 => stream::iter(fleet(2)).boxed(),
                _ => stream::iter([Err(DiscoverError::empty("it", ""))])
                    .chain(stream::pending())
                    .boxed(),
            }
        },
        config(),
    );
    said(&mut kept);
    pass(Duration::from_secs(1)).await;
    assert_eq!(said(&mut kept), ["!it has no endpoints"]);
    pass(Duration::from_secs(600)).await;
    assert_eq!(said(&mut kept).len(), 2);
    assert_eq!(kept.stats().stale_since(), None);
}

#[tokio::test(start_paused = true)]
async fn every_loss_is_believed_where_that_is_wanted() {
    let (say, source) = script();
    let accept_empty = true;
    let mut kept = source.keep_last_good(KeepLastGoodConfig {
        accept_empty,
        ..config()
    });
    fleet(2).for_each(|item| say.send(item).unwrap());
    for key in ["k1", "k2"] {
        say.send(remove(key)).unwrap();
    }
    assert_eq!(said(&mut kept), ["+k1=1", "+k2=2", "-k1", "-k2"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_stays_and_is_reported() {
    let source = stream::iter(fleet(2));
    let mut kept = source.keep_last_good(config());
    let report = "!the source unavailable: it has ended";
    assert_eq!(said(&mut kept), ["+k1=1", "+k2=2", report]);
    pass(Duration::from_secs(60_000)).await;
    assert!(kept.next().now_or_never().is_none(), "it never ends");
    assert_eq!(kept.stats().held(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_source_takes_over_where_the_last_one_ended() {
    let mut made = 0_u8;
    let mut kept = KeepLastGood::restarting(
        move || {
            made += 1;
            match made {
                1 => stream::iter(fleet(2)).boxed(),
                2 => stream::empty().boxed(),
                _ => stream::iter([insert("k1", 1, "")])
                    .chain(stream::pending())
                    .boxed(),
            }
        },
        config(),
    );
    assert_eq!(said(&mut kept).len(), 3);
    pass(Duration::from_secs(1)).await;
    assert_eq!(
        said(&mut kept),
        ["!the source unavailable for 1.0s: it has ended"]
    );
    pass(Duration::from_secs(1)).await;
    assert!(said(&mut kept).is_empty(), "the second pause is longer");
    pass(Duration::from_secs(1)).await;
    assert_eq!(said(&mut kept), ["+k1=1"]);
    assert_eq!(kept.stats().held(), 1);
    pass(Duration::from_secs(600)).await;
    assert_eq!(said(&mut kept), ["-k2"]);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Remove(u8),
    Down,
    Empty,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8, 0..3_u8).prop_map(|(key, version)| Step::Insert(key, version)),
        4 => (0..6_u8).prop_map(Step::Remove),
        1 => Just(Step::Down),
        1 => Just(Step::Empty),
        3 => (0..700_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever the source does: consumers have everybody it has, as it describes them; once they
    /// had somebody, they are without anybody only after the limit; and in the end, the others go.
    #[test]
    fn nobody_is_missing_and_nobody_stays_for_ever(steps in steps()) {
        let start = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { now() });
        let mut at = start;
        let mut keeper = Keeper::new(config());
        let mut list = BTreeMap::<EndpointKey, Endpoint>::new();
        let mut told = BTreeMap::<EndpointKey, Endpoint>::new();
        let mut listed_at = None;
        for step in steps {
            let mut changes = Vec::new();
            match step {
                Step::Insert(host, version) => {
                    let change = insert(&format!("k{host}"), host, &format!("v{version}")).unwrap();
                    if let Change::Insert(key, endpoint) = &change {
                        list.insert(key.clone(), endpoint.clone());
                    }
                    changes.extend(keeper.take(change, at));
                }
                Step::Remove(host) => {
                    let key = format!("k{host}");
                    list.remove(key.as_str());
                    changes.extend(keeper.take(remove(&key).unwrap(), at));
                }
                Step::Down => keeper.is_down(at),
                Step::Empty => keeper.is_up(at),
                Step::Pass(seconds) => at += Duration::from_secs(seconds),
            }
            changes.extend(keeper.settle(at));
            if keeper.due().is_some_and(|due| due <= at) {
                changes.extend(keeper.release(at));
            }
            for change in changes {
                match change {
                    Change::Insert(key, endpoint) => drop(told.insert(key, endpoint)),
                    Change::Remove(key) => prop_assert!(told.remove(&key).is_some()),
                }
            }
            for (key, endpoint) in &list {
                prop_assert_eq!(told.get(key), Some(endpoint));
            }
            if !list.is_empty() {
                listed_at = Some(at);
            }
            if let Some(listed_at) = listed_at && told.is_empty() {
                prop_assert!(at >= listed_at + config().keep_for);
            }
        }
        // Not even a change is needed.
        keeper.is_up(at);
        at += config().keep_for;
        keeper.settle(at);
        for change in keeper.release(at) {
            if let Change::Remove(key) = change {
                prop_assert!(told.remove(&key).is_some());
            }
        }
        prop_assert_eq!(told, list);
    }
}
