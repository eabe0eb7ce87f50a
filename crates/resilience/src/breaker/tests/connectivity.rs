//! What a balancer sees of it.

use std::sync::atomic::Ordering;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_open_breaker_leaves_the_pick_set_and_comes_back_to_probe() {
    let mut it = watched();
    it.is(Connecting);
    assert_eq!(it.report().await, (Connecting, Closed, None));
    it.is(Ready);
    assert_eq!(it.report().await, (Ready, Closed, None));
    it.attempt(lost()).await;
    it.nothing_new();
    it.attempt(lost()).await;
    let (state, breaker, error) = it.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    assert_eq!(
        error.unwrap(),
        "circuit breaker of 10.0.0.1:80 is open, it probes in 1000 ms; \
         tripped by: UNAVAILABLE: connection lost (2 consecutive failures)"
    );
    it.nothing_new();

    // The timer, not a call, makes it half-open.
    let start = Instant::now();
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    assert_eq!(start.elapsed(), SECOND);

    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let (state, breaker, _) = it.report().await;
    assert_eq!(
        (state, breaker),
        (TransientFailure, HalfOpen),
        "the probe is out"
    );
    drop(probe);
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    it.attempt(Ok(Response::new(body([trailers(Code::Ok)]))))
        .await;
    assert_eq!(it.report().await, (Ready, Closed, None));
}

#[tokio::test(start_paused = true)]
async fn states_other_than_ready_pass_an_open_breaker() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    it.breaker.handle().hold_open();
    let (state, breaker, _) = it.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    it.is(ConnectivityState::Idle);
    assert_eq!(it.report().await, (ConnectivityState::Idle, Open, None));
    it.is(Ready);
    assert_eq!(it.report().await.0, TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_whoever_waits_for_a_report() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    let handle = it.breaker.handle();
    let (report, ()) = tokio::join!(it.report(), async {
        tokio::task::yield_now().await;
        handle.hold_open();
    });
    assert_eq!(report.0, TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_endpoint_is_passed_on() {
    let mut it = watched();
    drop(it.states);
    assert!(poll_fn(|cx| it.breaker.poll_report(cx)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_lets_the_next_one_start() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    it.attempt(lost()).await;
    it.attempt(lost()).await;
    it.report().await;
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(it.report().await.0, TransientFailure);
    let start = Instant::now();
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    assert_eq!(start.elapsed(), SECOND);
    it.attempt(Ok(Response::new(body([trailers(Code::Ok)]))))
        .await;
    assert_eq!(it.report().await, (Ready, Closed, None));
    drop(probe);
    it.nothing_new();
}

/// What becomes of a probe before the balancer's driver looks.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Dropped,
    Succeeds,
    Fails,
    Hangs,
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_hears_of_the_next_place_although_nothing_looks_changed() {
    let cases = [
        (Probe::Dropped, 1, HalfOpen),
        (Probe::Dropped, 2, HalfOpen),
        (Probe::Succeeds, 1, Closed),
        (Probe::Succeeds, 2, HalfOpen),
        (Probe::Fails, 1, HalfOpen),
        (Probe::Hangs, 1, HalfOpen),
    ];
    for (ending, probes_to_close, then) in cases {
        let mut it = watched_with(BreakerConfig {
            probes_to_close,
            ..config()
        });
        it.half_open().await;
        let (answer, answered) = tokio::sync::oneshot::channel();
        it.inner.reply_with(async |_| answered.await.unwrap());
        let mut probe = Box::pin(it.breaker.call(unary("hello")));
        assert!(probe.as_mut().now_or_never().is_none());
        it.is_refused().await;

        match ending {
            Probe::Dropped => drop(probe),
            Probe::Succeeds => {
                let ok = Response::new(body([trailers(Code::Ok)]));
                answer.send(Ok(ok)).unwrap();
                drop(probe.await.unwrap().into_body().collect().await);
            }
            Probe::Fails => {
                answer.send(lost()).unwrap();
                probe.await.unwrap_err();
                it.is_refused().await;
                tokio::time::advance(2 * SECOND).await;
            }
            Probe::Hangs => tokio::time::advance(SECOND).await,
        }
        let report = it.report().now_or_never();
        let expected = Some((Ready, then, None));
        assert_eq!(report, expected, "{ending:?}, {probes_to_close} to close");
        it.nothing_new();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_hears_of_a_breaker_that_was_open_for_a_moment() {
    let mut it = watched();
    it.is(Ready);
    assert_eq!(it.report().await, (Ready, Closed, None));
    it.breaker.handle().hold_open();
    it.is_refused().await;
    it.breaker.handle().reset();
    assert_eq!(it.report().now_or_never(), Some((Ready, Closed, None)));
    it.nothing_new();
}

#[tokio::test(start_paused = true)]
async fn refusals_are_no_news_while_nothing_is_admitted() {
    let mut it = watched();
    it.half_open().await;
    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(it.report().await.0, TransientFailure);
    it.is_refused().await;
    it.nothing_new();
    drop(probe);
    assert_eq!(it.report().now_or_never(), Some((Ready, HalfOpen, None)));
    it.nothing_new();
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_balancer_settles_trips_and_recovers_all_the_same() {
    let mut watched = watched();
    watched.is(Ready);
    assert_eq!(watched.report().await, (Ready, Closed, None));
    let failures = config().consecutive_failures;
    let refused = Outcome::Failure(Code::Unavailable);
    for _ in 0..failures {
        let (_sender, admission) = watched.breaker.admit(Admit::Normally).unwrap();
        watched.breaker.settle(admission, refused, "server lost");
    }
    let Err(error) = watched.breaker.admit(Admit::Normally) else {
        panic!("it is open");
    };
    assert!(error.downcast_ref::<BreakerOpen>().is_some(), "{error}");
    let (state, breaker, error) = watched.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    assert!(error.unwrap().contains("UNAVAILABLE: server lost"));

    // A probe that says nothing gives its place back.
    assert_eq!(watched.report().await, (Ready, HalfOpen, None));
    let (_sender, probe) = watched.breaker.admit(Admit::Normally).unwrap();
    assert!(
        watched.breaker.admit(Admit::Normally).is_err(),
        "one probe at a time"
    );
    watched.breaker.settle(probe, Outcome::Abandoned, "");
    let (_sender, probe) = watched.breaker.admit(Admit::Normally).unwrap();
    watched.breaker.settle(probe, Outcome::Success, "");
    assert_eq!(watched.report().await, (Ready, Closed, None));
    assert_eq!(watched.inner.calls(), 0, "the balancer has the sender");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_brings_its_endpoint_back() {
    let mut watched = watched();
    watched.half_open().await;
    let (_sender, probe) = watched.breaker.admit(Admit::Normally).unwrap();
    watched.breaker.answered(&probe);
    let (state, breaker, _) = watched.report().await;
    assert_eq!((state, breaker), (TransientFailure, HalfOpen));
    let since = Instant::now();
    assert_eq!(watched.report().await, (Ready, Closed, None));
    assert_eq!(since.elapsed(), SECOND);
    watched.breaker.settle(probe, Outcome::Abandoned, "");
    watched.nothing_new();
}

/// What probes around the connection say: a breaker is around them.
fn held_back(it: &Watched) {
    let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
    let mut report = Report::new(Arc::new(endpoint), TransientFailure).with_error("probe failed");
    (report.held_back, report.connected) = (true, true);
    it.states.send(report).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_its_probes_hold_back_is_a_last_resort_only_if_its_breaker_lets_calls_pass()
 {
    for last_resort in [false, true] {
        let mut it = watched_with(BreakerConfig {
            last_resort,
            ..config()
        });
        held_back(&it);
        let report = it.next().await;
        assert!(report.held_back, "the breaker is closed");
        for _ in 0..config().consecutive_failures {
            let (_sender, admission) = it.breaker.admit(Admit::LastResort).unwrap();
            let lost = Outcome::Failure(Code::Unavailable);
            it.breaker.settle(admission, lost, "connection lost");
        }
        let report = it.next().await;
        assert_eq!(report.breaker, Some(Open));
        assert_eq!(report.held_back, last_resort);
        assert_eq!(
            it.breaker.admit(Admit::LastResort).is_ok(),
            report.held_back,
            "it does as it says"
        );
        let error = report.error.unwrap();
        assert_eq!(cause::<BreakerOpen>(&*error).is_some(), !last_resort);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_open_breaker_refuses_never_comes_to_the_connection() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    it.breaker.handle().hold_open();
    assert!(it.breaker.admit(Admit::Normally).is_err());
    assert_eq!(it.admitted.load(Ordering::Relaxed), 0);
}
