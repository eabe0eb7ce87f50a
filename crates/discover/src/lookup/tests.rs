use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::MemoryRegistry;
use crate::testing::{Item, endpoint, insert, remove, script, unavailable};

const SECOND: Duration = Duration::from_secs(1);

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A cache whose sources are scripts, handed out as they are opened.
fn scripted(
    config: CacheConfig,
) -> (
    DiscoverCache,
    mpsc::UnboundedReceiver<(String, mpsc::UnboundedSender<Item>)>,
) {
    let (opened, scripts) = mpsc::unbounded_channel();
    let open = move |service: &str| -> UnboundedReceiverStream<Item> {
        let (say, source) = script();
        // A test may have seen enough.
        let _ = opened.send((service.to_owned(), say));
        source
    };
    (DiscoverCache::new(config, open), scripts)
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_open_one_source() {
    let (cache, mut scripts) = scripted(CacheConfig::default());
    let asks = (0..10).map(|_| cache.discover("user"));
    let answers = futures_util::future::join_all(asks);
    let say = async {
        let (service, say) = scripts.recv().await.unwrap();
        assert_eq!(service, "user");
        say.send(insert("a", 1, "")).unwrap();
        say
    };
    let (answers, _say) = tokio::join!(answers, say);
    assert!(answers.iter().all(|list| list.as_ref().unwrap().len() == 1));
    assert!(scripts.recv().now_or_never().is_none());
    let stats = cache.stats();
    assert_eq!((stats.hits(), stats.misses()), (0, 10));
    cache.discover("user").await.unwrap();
    assert_eq!((stats.hits(), stats.misses()), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_as_fresh_as_its_source() {
    let registry = MemoryRegistry::new();
    let source = registry.clone();
    let cache = DiscoverCache::new(CacheConfig::default(), move |name| source.watch(name));
    let error = cache.discover("user").await.unwrap_err();
    assert!(matches!(error, DiscoverError::Empty { .. }));
    let _one = registry.register("user", endpoint("10.0.0.1:1")).unwrap();
    pass(SECOND).await;
    assert_eq!(cache.discover("user").await.unwrap().len(), 1);
    let two = registry.register("user", endpoint("10.0.0.2:1")).unwrap();
    pass(SECOND).await;
    assert_eq!(cache.discover("user").await.unwrap().len(), 2);
    drop(two);
    pass(SECOND).await;
    let list = cache.discover("user").await.unwrap();
    assert_eq!(*list, [endpoint("10.0.0.1:1")]);
    assert_eq!(cache.stats().refreshes(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_waited_for_so_long() {
    let (cache, _scripts) = scripted(CacheConfig::default());
    let start = now();
    let error = cache.discover("user").await.unwrap_err();
    assert_eq!(now() - start, 5 * SECOND);
    let text = r#"discovery of "user" unavailable for 5.0s: no answer within 5s"#;
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_is_given_for_a_while() {
    let (cache, mut scripts) = scripted(CacheConfig {
        max_stale: 60 * SECOND,
        ..CacheConfig::default()
    });
    assert!(cache.discover("user").now_or_never().is_none());
    let (_, say) = scripts.recv().await.unwrap();
    say.send(insert("a", 1, "")).unwrap();
    cache.discover("user").await.unwrap();
    say.send(Err(unavailable("etcd"))).unwrap();
    for _ in 0..3 {
        pass(19 * SECOND).await;
        assert_eq!(cache.discover("user").await.unwrap().len(), 1);
    }
    assert_eq!(cache.stats().stale(), 3);
    say.send(Err(unavailable("etcd"))).unwrap();
    pass(4 * SECOND).await;
    let error = cache.discover("user").await.unwrap_err();
    assert!(error.to_string().starts_with("etcd unavailable"), "{error}");
    say.send(insert("a", 1, "")).unwrap();
    pass(SECOND).await;
    assert_eq!(cache.discover("user").await.unwrap().len(), 1);
    say.send(remove("a")).unwrap();
    pass(SECOND).await;
    assert!(cache.discover("user").await.unwrap_err().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_not_watched() {
    let (cache, mut scripts) = scripted(CacheConfig::default());
    assert!(cache.discover("user").now_or_never().is_none());
    let (_, say) = scripts.recv().await.unwrap();
    say.send(insert("a", 1, "")).unwrap();
    for _ in 0..5 {
        pass(29 * SECOND).await;
        cache.discover("user").await.unwrap();
    }
    assert_eq!(cache.stats().expirations(), 0);
    pass(31 * SECOND).await;
    say.closed().await;
    assert_eq!((cache.len(), cache.stats().expirations()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_goes_when_there_are_too_many() {
    let (cache, mut scripts) = scripted(CacheConfig {
        capacity: 2,
        ..CacheConfig::default()
    });
    let mut says = Vec::new();
    for service in ["a", "b"] {
        assert!(cache.discover(service).now_or_never().is_none());
        let (_, say) = scripts.recv().await.unwrap();
        say.send(insert(service, 1, "")).unwrap();
        says.push(say);
        pass(SECOND).await;
    }
    cache.discover("a").await.unwrap();
    assert!(cache.discover("c").now_or_never().is_none());
    says[1].closed().await;
    assert!(!says[0].is_closed());
    assert_eq!((cache.len(), cache.stats().evictions()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_is_opened_again_and_its_list_replaced() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let cache = DiscoverCache::new(CacheConfig::default(), move |_| {
        match counter.fetch_add(1, Ordering::Relaxed) {
            0 => stream::iter(vec![insert("a", 1, ""), insert("b", 2, "")]).boxed(),
            1 => stream::empty().boxed(),
            _ => stream::iter(vec![insert("b", 2, "")]).boxed(),
        }
    });
    for (after, expected) in [(0, 2), (9, 2), (2, 2), (10, 1)] {
        pass(after * SECOND).await;
        let list = cache.discover("user").await.unwrap();
        assert_eq!(list.len(), expected, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_opened_again_and_empty_replaces_the_list() {
    let opened = AtomicUsize::new(0);
    let cache = DiscoverCache::new(CacheConfig::default(), move |_| {
        match opened.fetch_add(1, Ordering::Relaxed) {
            0 => stream::iter(vec![insert("a", 1, "")]),
            _ => stream::iter(vec![Err(DiscoverError::empty("it", ""))]),
        }
    });
    assert_eq!(cache.discover("user").await.unwrap().len(), 1);
    pass(11 * SECOND).await;
    let error = cache.discover("user").await.unwrap_err();
    assert_eq!(error.to_string(), "it has no endpoints");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_pauses_lets_others_run() {
    let fails = || -> Item { Err(unavailable("etcd")) };
    let polls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&polls);
    let cache = DiscoverCache::new(CacheConfig::default(), move |service| {
        let counter = Arc::clone(&counter);
        let changes = service == "changes";
        stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            if changes { insert("a", 1, "") } else { fails() }
        })
    });
    let error = cache.discover("fails").await.unwrap_err();
    assert_eq!(error.to_string(), "etcd unavailable: unplugged");
    pass(20 * SECOND).await;
    assert!(polls.load(Ordering::Relaxed) < 40, "{polls:?}");
    assert_eq!(cache.discover("changes").await.unwrap().len(), 1);
    tokio::task::yield_now().await;
    drop(cache);
    // This comes to an end only if both tasks have.
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn to_wait_for_an_answer_is_to_use_a_service() {
    for ttl in [Duration::ZERO, SECOND] {
        let (cache, mut scripts) = scripted(CacheConfig {
            ttl,
            ..CacheConfig::default()
        });
        let say = async {
            let (_, say) = scripts.recv().await.unwrap();
            pass(3 * SECOND).await;
            say.send(insert("a", 1, "")).unwrap();
            say
        };
        let (list, _say) = tokio::join!(cache.discover("user"), say);
        assert_eq!(list.unwrap().len(), 1, "{ttl:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_an_answer_although_there_are_too_many() {
    let (cache, mut scripts) = scripted(CacheConfig {
        capacity: 1,
        ..CacheConfig::default()
    });
    let say = async {
        let mut says = Vec::new();
        for host in 1..=2 {
            let (service, say) = scripts.recv().await.unwrap();
            pass(SECOND).await;
            say.send(insert(&service, host, "")).unwrap();
            says.push(say);
        }
        says
    };
    let (a, b, says) = tokio::join!(cache.discover("a"), cache.discover("b"), say);
    assert_eq!((a.unwrap().len(), b.unwrap().len()), (1, 1));
    says[0].closed().await;
    assert_eq!((cache.len(), cache.stats().evictions()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_no_mystery() {
    let open = |_: &str| -> stream::Empty<Item> { panic!("no such service") };
    let cache = DiscoverCache::new(CacheConfig::default(), open);
    let error = cache.discover("user").await.unwrap_err().to_string();
    assert!(error.ends_with("its task has ended"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn warming_up_waits_for_all_at_once() {
    let registry = MemoryRegistry::new();
    let _one = registry.register("a", endpoint("10.0.0.1:1")).unwrap();
    let cache = DiscoverCache::new(CacheConfig::default(), move |name| match name {
        "silent" | "mute" => stream::pending().boxed(),
        _ => registry.watch(name).boxed(),
    });
    let start = now();
    let missing = cache.warm_up(["silent", "a", "b", "mute"]).await;
    assert_eq!(now() - start, 5 * SECOND);
    let names: Vec<_> = missing.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["silent", "b", "mute"]);
    assert_eq!((cache.len(), cache.stats().misses()), (4, 4));
    cache.discover("a").await.unwrap();
    assert_eq!(cache.stats().hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_task_outlives_the_cache() {
    let (cache, mut scripts) = scripted(CacheConfig::default());
    let clone = cache.clone();
    assert!(cache.discover("user").now_or_never().is_none());
    let (_, say) = scripts.recv().await.unwrap();
    drop(cache);
    pass(SECOND).await;
    assert!(!say.is_closed());
    drop(clone);
    say.closed().await;
}

#[test]
fn without_a_runtime_it_says_so_and_with_another_one_it_goes_on() {
    let registry = MemoryRegistry::new();
    let _one = registry.register("user", endpoint("10.0.0.1:1")).unwrap();
    let cache = DiscoverCache::new(CacheConfig::default(), move |name| registry.watch(name));
    let error = cache.discover("user").now_or_never().unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let list = runtime.block_on(cache.discover("user")).unwrap();
        assert_eq!(list.len(), 1);
        // Nobody has to wait for what is known.
        let list = cache.discover("user").now_or_never().unwrap();
        assert_eq!(list.unwrap().len(), 1);
    }
}
