//! Half-open.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides_and_a_dropped_one_gives_its_place_back() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    inner.hang();
    let mut probe = Box::pin(service.clone().oneshot(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(status.message().contains("is probing"), "{status}");
    assert_eq!(service.handle().status().state, HalfOpen);

    drop(probe);
    inner.reply_with(async |_| Ok(Response::new(endless([data("x")]))));
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(
        service.handle().status().state,
        HalfOpen,
        "not before the trailers"
    );
    drop(response);
    assert!(service.handle().status().admits);

    succeed(&inner, &service).await;
    assert_eq!(service.handle().status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_doubles_the_open_time() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    fail(&inner, &service, lost()).await;
    let status = service.handle().status();
    assert_eq!(status.state, Open);
    assert_eq!(
        status.wake_at,
        Some((Instant::now() + 2 * SECOND).into_std())
    );
}
