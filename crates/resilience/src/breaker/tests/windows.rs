//! A failure ratio and adaptive throttling, around a service.

use evenkeel_policy::breaker::{AdaptiveConfig, FailureRatioConfig};

use super::*;

fn around(config: BreakerConfig) -> (Inner, Breaker<Inner>) {
    let inner = Scripted::new();
    let layer = BreakerLayer::new(config).named("user-service");
    (inner.clone(), layer.layer(inner))
}

fn ratio() -> BreakerConfig {
    BreakerConfig {
        failure_ratio: Some(FailureRatioConfig {
            minimum_calls: 4,
            ..FailureRatioConfig::default()
        }),
        open_time: SECOND,
        jitter: 0.0,
        ..BreakerConfig::ratio(0.5)
    }
}

fn adaptive() -> BreakerConfig {
    BreakerConfig {
        adaptive: Some(AdaptiveConfig {
            minimum_requests: 4,
            ..AdaptiveConfig::default()
        }),
        ..BreakerConfig::adaptive()
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_calls_failing_trips_it_and_a_probe_starts_the_window_anew() {
    let (inner, service) = around(ratio());
    let handle = service.handle();
    for _ in 0..2 {
        succeed(&inner, &service).await;
    }
    fail(&inner, &service, lost()).await;
    assert_eq!(handle.status().state, Closed);
    let counts = handle.status().failure_ratio.unwrap();
    assert_eq!((counts.successes, counts.failures), (2, 1));

    fail(&inner, &service, lost()).await;
    let status = handle.status();
    assert_eq!(status.state, Open);
    assert_eq!(
        status.tripped_by.as_deref(),
        Some("UNAVAILABLE: connection lost (2 of 4 calls failed within 10s)")
    );
    let refused = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(cause::<BreakerOpen>(&refused).is_some());

    tokio::time::advance(SECOND).await;
    succeed(&inner, &service).await;
    let status = handle.status();
    assert_eq!(status.state, Closed);
    assert_eq!(status.failure_ratio, Some(Default::default()));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_are_no_calls_of_the_window() {
    let (inner, service) = around(ratio());
    for _ in 0..10 {
        inner.hang();
        let mut call = Box::pin(service.clone().oneshot(unary("hello")));
        assert!(call.as_mut().now_or_never().is_none());
    }
    let counts = service.handle().status().failure_ratio.unwrap();
    assert_eq!(counts.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_refused_fast_and_typed_and_told_to_who_watches() {
    let (inner, service) = around(adaptive());
    let handle = service.handle();
    let mut changes = handle.watch();
    let refusal = loop {
        inner.reply(lost);
        let before = inner.calls();
        let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
        if inner.calls() == before {
            break status;
        }
    };
    // Nobody has asked for its status, and no time has passed.
    let told = changes.changed().now_or_never();
    told.expect("told with the refusal").unwrap();
    let status = changes.borrow_and_update().clone();
    assert_eq!((status.state, status.admits), (Closed, true));
    assert!(status.shed > 0.7, "{status:?}");
    assert_eq!(refusal.code(), Code::Unavailable);
    let open = cause::<BreakerOpen>(&refusal).unwrap();
    assert!(open.shed.is_some_and(|share| share > 0.7), "{open:?}");
    assert!(
        refusal
            .message()
            .ends_with("% of its calls; last failure: UNAVAILABLE: connection lost"),
        "{refusal}"
    );
    let attempt = cause::<AttemptError>(&refusal).unwrap();
    assert_eq!(attempt.progress(), Progress::NotSent);
    assert!(attempt.take_request::<TestBody>().is_some());
    let refused = handle.status().adaptive.unwrap().refused;
    assert_eq!(refused, 1, "it is a request");

    // When the window has forgotten, nothing is refused any more.
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(handle.status().shed, 0.0);
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow_and_update().shed, 0.0);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_the_first_call_is_not_refused_for_what_was_before_it() {
    let watched = watched_with(adaptive());
    let unavailable = Outcome::Failure(Code::Unavailable);
    for _ in 0..10 {
        while let Ok((_sender, admission)) = watched.breaker.admit(Admit::Normally) {
            watched
                .breaker
                .settle(admission, unavailable, "server lost");
        }
        tokio::time::advance(10 * SECOND).await;
        // Nobody has looked at it meanwhile.
        for _ in 0..3 {
            let admitted = watched.breaker.admit(Admit::Normally);
            assert!(admitted.is_ok(), "fewer than the minimum of requests");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_sheds_stays_in_the_pick_set() {
    let mut watched = watched_with(adaptive());
    watched.is(Ready);
    assert_eq!(watched.report().await, (Ready, Closed, None));
    let unavailable = Outcome::Failure(Code::Unavailable);
    let refusal = loop {
        match watched.breaker.admit(Admit::Normally) {
            Ok((_sender, admission)) => {
                watched
                    .breaker
                    .settle(admission, unavailable, "server lost");
            }
            Err(refusal) => break refusal,
        }
    };
    let open = cause::<BreakerOpen>(&*refusal).unwrap();
    assert!(open.shed.is_some());
    watched.nothing_new();
    assert!(watched.breaker.handle().status().admits);
}

#[tokio::test(start_paused = true)]
async fn held_closed_it_refuses_none_and_a_last_resort_passes_if_its_config_says_so() {
    for last_resort in [false, true] {
        let mut watched = watched_with(BreakerConfig {
            last_resort,
            ..adaptive()
        });
        watched.is(Ready);
        watched.next().await;
        let unavailable = Outcome::Failure(Code::Unavailable);
        let refused = |admit| {
            let refused = (0..200).filter(|_| match watched.breaker.admit(admit) {
                Ok((_sender, admission)) => {
                    watched.breaker.settle(admission, unavailable, "lost");
                    false
                }
                Err(_) => true,
            });
            refused.count()
        };
        assert!(refused(Admit::Normally) > 100);
        assert_eq!(refused(Admit::LastResort) == 0, last_resort);
        watched.breaker.handle().hold_closed();
        assert_eq!(refused(Admit::Normally), 0);
        let counts = watched.breaker.handle().status().adaptive.unwrap();
        assert_eq!(counts.failures, 200, "it goes on counting");
    }
}
