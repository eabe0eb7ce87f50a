use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_core::{ConnectivityState, Policy, Update};
use evenkeel_policy::lb::RoundRobin;
use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;

use super::*;
use crate::scripted::Scripted;

type Item = Result<Change<u16, Scripted>, Infallible>;

/// Counts what it is asked.
struct Counted {
    policy: RoundRobin,
    updates: Arc<AtomicUsize>,
}

impl Policy for Counted {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.updates.fetch_add(1, Ordering::Relaxed);
        self.policy.update(now, view)
    }
}

/// A driver, which ends when the set is dropped, what it publishes to, and its policy's updates.
fn start(
    discover: impl futures_util::Stream<Item = Item> + Unpin + Send + 'static,
) -> (JoinSet<()>, Arc<Shared<Scripted>>, Arc<AtomicUsize>) {
    let shared = Arc::new(Shared::new());
    let updates = Arc::new(AtomicUsize::new(0));
    let policy = Counted {
        policy: RoundRobin::new(),
        updates: updates.clone(),
    };
    let mut tasks = JoinSet::new();
    let (steering, owner) = (Steering::fixed_policy(Box::new(policy)), Weak::new());
    tasks.spawn(drive(discover, steering, shared.clone(), owner));
    (tasks, shared, updates)
}

fn insert(endpoint: &Scripted, key: u16) -> Item {
    Ok(Change::Insert(key, endpoint.clone()))
}

/// Waits for the first snapshot after `version` that shows as many endpoints, and returns its
/// version.
async fn shown(shared: &Shared<Scripted>, version: u64, endpoints: usize) -> u64 {
    let mut versions = shared.version.subscribe();
    let is_it =
        |present: &u64| *present > version && shared.snapshot.load_full().slots.len() == endpoints;
    *versions.wait_for(is_it).await.unwrap()
}

#[tokio::test]
async fn changes_that_come_at_once_make_one_snapshot() {
    const COUNT: u16 = 3_000;
    let endpoints: Vec<_> = (0..COUNT).map(Scripted::new).collect();
    let (changes, stream) = tokio::sync::mpsc::unbounded_channel();
    let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(stream);
    let (_driver, shared, updates) = start(stream);
    for (endpoint, key) in endpoints.iter().zip(0..) {
        changes.send(insert(endpoint, key)).unwrap();
    }
    let version = shown(&shared, 0, COUNT.into()).await;
    // Twice as many each time: linear in all.
    let at_start = updates.load(Ordering::Relaxed);
    assert!(at_start < 8, "{at_start} updates");

    // More than tokio lets a task take in at once.
    for endpoint in &endpoints[..1_000] {
        endpoint.set(ConnectivityState::Connecting);
    }
    let version = shown(&shared, version, COUNT.into()).await;
    assert_eq!(updates.load(Ordering::Relaxed), at_start + 1);
    for key in 0..1_000 {
        changes.send(Ok(Change::Remove(key))).unwrap();
    }
    shown(&shared, version, usize::from(COUNT) - 1_000).await;
    assert_eq!(updates.load(Ordering::Relaxed), at_start + 2);
}

#[tokio::test]
async fn a_stream_of_changes_that_never_ends_is_shown_on_its_way() {
    let keys = stream::iter((0..1_000).cycle());
    let endless = keys.map(|key| insert(&Scripted::new(key), key));
    let (_driver, shared, _) = start(endless);
    let version = shown(&shared, 0, 1_000).await;
    let version = shown(&shared, version, 1_000).await;
    shown(&shared, version, 1_000).await;
}

#[tokio::test]
async fn a_caller_does_not_drop_the_last_of_a_snapshot() {
    let endpoint = Scripted::new(1);
    let changes = stream::iter([insert(&endpoint, 1)]).chain(stream::pending());
    let (_driver, shared, _) = start(changes);
    let version = shown(&shared, 0, 1).await;
    let held = shared.snapshot.load_full();
    endpoint.set(ConnectivityState::Connecting);
    shown(&shared, version, 1).await;
    assert_eq!(Arc::strong_count(&held), 2, "the driver's and ours");
}
