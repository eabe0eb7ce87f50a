//! Policies of others, and what they get wrong.

use super::*;

/// Panics at its second update.
struct Bomb(AtomicUsize);

impl Policy for Bomb {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        assert_eq!(
            self.0.fetch_add(1, Ordering::Relaxed),
            0,
            "as the test wants it"
        );
        RoundRobin::default().update(now, view)
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_fails_calls_instead_of_hanging_them() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Connecting);
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Bomb(AtomicUsize::new(0))));
    let waiting = in_background(&channel, request());
    tokio::task::yield_now().await;
    endpoint.set(ConnectivityState::Ready, None);
    let error = waiting.end().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        cause::<ChannelClosed>(&error)
            .unwrap()
            .reason
            .contains("panicked")
    );
    assert_eq!(channel.state(), ConnectivityState::Shutdown);
    assert!(channel.wait_until_ready().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_custom_policy_gets_wrong_fails_the_call_with_internal() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    for pick in [
        Pick::Endpoint(EndpointIndex(7)),
        Pick::Fail(Status::not_found("no such shard")),
        Pick::Drop(Status::data_loss("gone")),
    ] {
        let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Fixed(pick, Arc::default())));
        ready(&channel).await;
        let error = call(&channel, request()).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pick_fails_even_a_call_that_waits_for_ready() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let drop = Pick::Drop(Status::unavailable("over the limit"));
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Fixed(drop, Arc::default())));
    ready(&channel).await;
    let mut patient = request();
    patient.extensions_mut().insert(WaitForReady(true));
    let error = call(&channel, patient).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unavailable, "over the limit")
    );
    assert!(
        cause::<CallDropped>(&error).is_some(),
        "nothing tries it again"
    );
}
