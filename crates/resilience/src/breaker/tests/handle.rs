//! The handle.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_handle_moves_and_watches_it() {
    let (inner, service) = service();
    let handle = service.handle();
    let mut changes = handle.watch();
    handle.hold_open();
    changes.changed().await.unwrap();
    let status = changes.borrow_and_update().clone();
    assert_eq!((status.state, status.wake_at), (Open, None));
    let error = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(
        error.message().ends_with("tripped by: opened by hand"),
        "{error}"
    );

    handle.hold_closed();
    for _ in 0..5 {
        fail(&inner, &service, lost()).await;
    }
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow_and_update().state, Closed);
    handle.reset();
    trip(&inner, &service).await;
    changes.changed().await.unwrap();
    let status = changes.borrow_and_update().clone();
    assert_eq!(status.state, Open);
    assert!(status.tripped_by.unwrap().starts_with("UNAVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_of_each_change_and_why() {
    let (inner, service) = service();
    let handle = service.handle();
    assert_eq!(handle.name(), "user-service");
    let mut changes = handle.watch();
    let mut next = async || {
        changes.changed().await.unwrap();
        changes.borrow_and_update().clone()
    };
    trip(&inner, &service).await;
    let open = next().await;
    assert_eq!((open.state, open.held, open.changes), (Open, false, 1));
    let why = "UNAVAILABLE: connection lost (2 consecutive failures)";
    assert_eq!(open.tripped_by.as_deref(), Some(why));

    // Nobody calls: it is the question that moves it.
    tokio::time::advance(SECOND).await;
    assert_eq!(handle.status().state, HalfOpen);
    let probing = next().await;
    assert_eq!((probing.state, probing.changes), (HalfOpen, 2));
    fail(&inner, &service, refusal(Code::Internal)).await;
    let again = next().await;
    assert_eq!(again.state, Open);
    assert_eq!(
        again.tripped_by.as_deref(),
        Some("INTERNAL (the probe failed)")
    );
    tokio::time::advance(2 * SECOND).await;
    succeed(&inner, &service).await;
    let closed = next().await;
    assert_eq!((closed.state, closed.held), (Closed, false));
    assert_eq!(closed.changes, 5, "half-open came between");

    // Held closed, a closed breaker looks the same but for that.
    handle.hold_closed();
    let held = next().await;
    assert_eq!((held.state, held.held), (Closed, true));
    handle.hold_open();
    let held = next().await;
    assert_eq!((held.state, held.held, held.wake_at), (Open, true, None));
    assert_eq!(held.tripped_by.as_deref(), Some("opened by hand"));
    let refused = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(cause::<BreakerOpen>(&refused).unwrap().held);
    assert!(refused.message().contains("is held open"), "{refused}");
    handle.reset();
    assert!(!next().await.held);
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_failures_in_a_row() {
    let (inner, service) = service();
    fail(&inner, &service, lost()).await;
    assert_eq!(service.handle().status().consecutive_failures, 1);
    succeed(&inner, &service).await;
    let status = service.handle().status();
    assert_eq!(status.consecutive_failures, 0);
    assert_eq!((status.failure_ratio, status.adaptive), (None, None));
}
