//! What discovery says, and how much of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_discovery_that_only_fails_is_reported_and_does_not_spin() {
    let polls = Arc::<AtomicUsize>::default();
    let counted = polls.clone();
    let failing = futures_util::stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err::<Change<u8, FakeEndpoint>, BoxError>("registry gone".into())
    });
    let channel = Balance::new(failing, Box::new(RoundRobin::default()));
    state(&channel, ConnectivityState::TransientFailure).await;
    let error = call(&channel, request()).await.unwrap_err();
    assert!(
        error.message().contains("registry gone"),
        "{}",
        error.message()
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let polls = polls.load(Ordering::Relaxed);
    assert!((10..200).contains(&polls), "{polls} polls in a minute");
}

#[tokio::test(start_paused = true)]
async fn an_endless_flood_of_changes_does_not_keep_the_channel_from_working() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let flooding = endpoint.clone();
    let flood = futures_util::stream::repeat_with(move || {
        Ok::<_, BoxError>(Change::Insert("a", flooding.clone()))
    });
    let channel = Balance::new(flood, Box::new(RoundRobin::default()));
    ready(&channel).await;
    assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    drop(channel);
    while Arc::strong_count(&endpoint.shared) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_errors_keep_the_endpoints_and_explain_an_empty_list() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, changes) = round_robin(&[]);
    changes.send(Err("etcd is unreachable".into())).unwrap();
    state(&channel, ConnectivityState::TransientFailure).await;
    let error = call(&channel, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        error.message().contains("etcd is unreachable"),
        "{}",
        error.message()
    );

    changes
        .send(Ok(Change::Insert("a", endpoint.clone())))
        .unwrap();
    ready(&channel).await;
    let changed = channel.changed();
    changes.send(Err("etcd is unreachable".into())).unwrap();
    changed.await;
    assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);

    let changed = channel.changed();
    changes.send(Err(DiscoveryRecovered.into())).unwrap();
    changed.await;
    assert!(
        channel.shared().discovery.lock().is_none(),
        "an old outage explains nothing"
    );

    changes.send(Ok(Change::Remove("a"))).unwrap();
    state(&channel, ConnectivityState::TransientFailure).await;
    drop(changes);
    assert!(
        call(&channel, request())
            .await
            .unwrap_err()
            .message()
            .contains("no endpoints")
    );
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_update() {
    let updates = Arc::<AtomicUsize>::default();
    let (changes, stream) = discover();
    for key in ["a", "b", "c", "d", "e"] {
        changes
            .send(Ok(Change::Insert(key, FakeEndpoint::ready("10.0.0.1:1"))))
            .unwrap();
    }
    let channel = Balance::new(stream, Box::new(Fixed(Pick::Queue, updates.clone())));
    state(&channel, ConnectivityState::Ready).await;
    assert_eq!(channel.endpoints().len(), 5);
    assert_eq!(updates.load(Ordering::Relaxed), 1);
}
