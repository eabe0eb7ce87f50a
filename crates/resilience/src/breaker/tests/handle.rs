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
