//! What is left when a call, or the last handle of a channel, is dropped.

use super::*;

#[tokio::test(start_paused = true)]
async fn dropping_a_call_gives_everything_back() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.script([Answer::Hang, Answer::Stream]);
    let hanging = timeout(Duration::from_millis(1), channel.clone().call(request())).await;
    assert!(hanging.is_err());
    drop(channel.clone().call(request()).await.unwrap());
    let stats = channel.endpoints()[0].stats.clone();
    assert_eq!(
        (stats.in_flight(), stats.abandoned(), stats.failed()),
        (0, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_ends_the_driver_and_lets_go_of_every_endpoint() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    let clone = channel.clone();
    drop(channel);
    tokio::task::yield_now().await;
    assert!(!changes.is_closed());
    drop(clone);
    timeout(Duration::from_secs(1), changes.closed())
        .await
        .unwrap();
    while Arc::strong_count(&endpoint.shared) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_back_when_its_channel_is_gone_fails() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    endpoint.script([Answer::Unsent, Answer::Unsent]);
    let (mut channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    let sent = channel.call(request());
    drop(channel);
    let error = sent.await.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(cause::<ChannelClosed>(&error).is_some());
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_ends_well_though_its_channel_is_gone() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (mut channel, changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    let sent = channel.call(request());
    drop(channel);
    changes.closed().await;
    let response = sent.await.unwrap();
    let trailers = response.into_body().collect().await.unwrap();
    assert!(
        trailers
            .trailers()
            .is_some_and(|it| it["grpc-status"] == "0")
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_keeps_its_channel() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Connecting);
    let (mut channel, _changes) = round_robin(&[("a", &endpoint)]);
    let waiting = channel.call(request());
    drop(channel);
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        endpoint.set(ConnectivityState::Ready, None);
    });
    drop(answer.unwrap());
}
