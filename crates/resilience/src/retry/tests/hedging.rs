//! Calls whose attempts run side by side.

use std::future::pending;
use std::sync::Arc;

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_service_config::ParseOptions;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

mod streaming;

fn layer_of(max_attempts: u32, more: &str) -> RetryLayer {
    let json = format!(
        r#"{{"methodConfig":[{{"name":[{{"service":"test.Service"}}],"hedgingPolicy":{{
            "maxAttempts":{max_attempts},"hedgingDelay":"0.1s","nonFatalStatusCodes":["UNAVAILABLE"]}}}}]
            {more}}}"#
    );
    RetryLayer::new(&ParseOptions::strict().parse(&json).unwrap())
}

fn hedging(max_attempts: u32) -> (Inner, Retry<Inner>) {
    service(&layer_of(max_attempts, ""))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call that goes on while the test does something else; ends when it is dropped.
fn running<T: Send + 'static>(
    call: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let mut calls = JoinSet::new();
    calls.spawn(call);
    async move { calls.join_next().await.unwrap().unwrap() }
}

/// An attempt that never answers, and holds `alive` while it runs.
fn hang(inner: &Inner, alive: &Arc<()>) {
    let alive = Arc::clone(alive);
    inner.reply_with(async move |_| {
        let _alive = alive;
        pending().await
    });
}

/// An attempt that answers after a while.
fn later(
    inner: &Inner,
    delay: u64,
    answer: impl FnOnce() -> crate::scripted::Answer + Send + 'static,
) {
    inner.reply_with(async move |_| {
        sleep(millis(delay)).await;
        answer()
    });
}

fn pushed_back(value: &'static str) -> crate::scripted::Answer {
    unavailable(1).map(|mut response| {
        let headers = response.headers_mut();
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static(value));
        response
    })
}

#[tokio::test(start_paused = true)]
async fn an_attempt_starts_each_delay_and_the_first_answer_ends_the_others() {
    let (inner, service) = hedging(4);
    let alive = Arc::new(());
    hang(&inner, &alive);
    hang(&inner, &alive);
    later(&inner, 50, || ok("third".into()));
    let start = Instant::now();
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(start.elapsed(), millis(250));
    assert_eq!(Arc::strong_count(&alive), 1, "before the answer is read");
    assert_eq!(collect(response).await.0, "third");
    assert_eq!(inner.calls(), 3);
    let heads = inner.heads();
    let hedges = |index: usize| heads[index].extensions.get::<Attempt>().unwrap();
    for (index, head) in heads.iter().enumerate() {
        assert_eq!(hedges(index).number, index as u32 + 1);
        assert_eq!(hedges(index).hedges, hedges(0).hedges, "of one call");
        assert!(hedges(index).hedges.is_some());
        let previous = (index > 0).then(|| index.to_string());
        assert_eq!(
            header(head, "grpc-previous-rpc-attempts"),
            previous.as_deref()
        );
        assert_eq!(header(head, "x-user"), Some("someone"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_not_hedged() {
    let (inner, service) = hedging(3);
    later(&inner, 99, || ok("first".into()));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await.0, "first");
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_all_start_at_once() {
    let policy = HedgingPolicy::new(3, Duration::ZERO, Default::default());
    let (inner, service) = service(&RetryLayer::hedge_all(policy));
    let alive = Arc::new(());
    hang(&inner, &alive);
    hang(&inner, &alive);
    later(&inner, 10, || ok("third".into()));
    let start = Instant::now();
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!((inner.calls(), start.elapsed()), (3, millis(10)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_fatal_starts_the_next_at_once() {
    let (inner, service) = hedging(3);
    let alive = Arc::new(());
    later(&inner, 30, || unavailable(1));
    hang(&inner, &alive);
    later(&inner, 5, || ok("third".into()));
    let start = Instant::now();
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(
        start.elapsed(),
        millis(30 + 100 + 5),
        "and the cadence goes on"
    );
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_ends_the_call_and_its_other_attempts() {
    let (inner, service) = hedging(3);
    let alive = Arc::new(());
    hang(&inner, &alive);
    later(&inner, 20, || refusal(Code::NotFound));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!((inner.calls(), Arc::strong_count(&alive)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn when_all_have_failed_the_call_has_the_last_failure_and_the_story() {
    let (inner, service) = hedging(3);
    later(&inner, 500, || Err(lost(1, Progress::Sent)));
    later(&inner, 100, || Err(lost(2, Progress::Sent)));
    later(&inner, 200, || Err(lost(3, Progress::Sent)));
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(
        status.message(),
        "10.0.0.1:80: connection lost; no attempts left after 3 attempts: \
         2 10.0.0.2:80 UNAVAILABLE; 3 10.0.0.3:80 UNAVAILABLE; 1 10.0.0.1:80 UNAVAILABLE"
    );
    assert_eq!(cause::<CallFailed>(&status).unwrap().attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_puts_the_next_attempt_off() {
    let (inner, service) = hedging(3);
    later(&inner, 0, || pushed_back("1234"));
    inner.echo();
    let start = Instant::now();
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(start.elapsed(), millis(1_234));
}

#[tokio::test(start_paused = true)]
async fn a_pushback_that_stops_leaves_the_attempts_that_run() {
    let (inner, service) = hedging(3);
    later(&inner, 500, || ok("first".into()));
    later(&inner, 50, || pushed_back("-1"));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await.0, "first");
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_throttle_stops_hedges_but_not_first_attempts() {
    let throttling = r#","retryThrottling":{"maxTokens":4,"tokenRatio":1}"#;
    let (inner, service) = service(&layer_of(3, throttling));
    inner.reply(|| unavailable(1)).reply(|| unavailable(2));
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(inner.calls(), 2, "two failures leave half of the tokens");

    later(&inner, 1_000, || ok("alone".into()));
    service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(inner.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_throttled_attempt_has_its_last_failure() {
    let throttling = r#","retryThrottling":{"maxTokens":4,"tokenRatio":1}"#;
    let (inner, service) = service(&layer_of(3, throttling));
    inner.reply(|| pushed_back("1000"));
    let call = running(service.clone().oneshot(unary("hello")));
    sleep(millis(1)).await;
    inner.reply(|| pushed_back("-1"));
    service.oneshot(unary("other")).await.unwrap();
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_no_server_saw_is_sent_again_under_the_same_number() {
    let (inner, service) = hedging(2);
    inner
        .reply(|| Err(lost(1, Progress::NotSent)))
        .reply(|| Err(lost(1, Progress::NotSent)))
        .reply(|| Err(lost(2, Progress::Refused)))
        .echo();
    service.oneshot(unary("hello")).await.unwrap();
    for head in inner.heads() {
        assert_eq!(head.extensions.get::<Attempt>().unwrap().number, 1);
    }
    assert_eq!(inner.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_breakers_refusal_of_one_attempt_leaves_the_other() {
    let (inner, service) = hedging(3);
    later(&inner, 300, || ok("first".into()));
    inner.reply(|| {
        let breaker = BreakerOpen::new("a".into(), Duration::ZERO, "b".into());
        Err(AttemptError::new(Progress::NotSent, breaker).into_status(Code::Unavailable))
    });
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await.0, "first");
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_all_attempts_and_tells_of_those_that_failed() {
    let config = ServiceConfig::parse(
        r#"{"methodConfig":[{"name":[{}],"timeout":"1s","hedgingPolicy":
            {"maxAttempts":3,"hedgingDelay":"0.4s","nonFatalStatusCodes":[14]}}]}"#,
    )
    .unwrap();
    let layer = RetryLayer::new(&config).with_deadline(crate::DeadlineLayer::new(&config));
    let (inner, service) = service(&layer);
    let alive = Arc::new(());
    hang(&inner, &alive);
    later(&inner, 100, || Err(lost(2, Progress::Sent)));
    hang(&inner, &alive);
    let start = Instant::now();
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(start.elapsed(), millis(1_000));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().contains("2 10.0.0.2:80 UNAVAILABLE"),
        "{status}"
    );
    assert_eq!(Arc::strong_count(&alive), 1);
    let heads = inner.heads();
    let timeout = |index: usize| crate::timeout::decode(&heads[index].headers["grpc-timeout"]);
    assert_eq!(
        [timeout(0), timeout(1), timeout(2)],
        [1_000, 600, 500].map(|left| Some(millis(left)))
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_its_attempts_and_gives_its_buffers_back() {
    let (inner, service) = hedging(3);
    let alive = Arc::new(());
    (0..3).for_each(|_| hang(&inner, &alive));
    let large = "x".repeat(10_000).leak();
    let mut call = Box::pin(service.clone().oneshot(unary(large)));
    tokio::select! {
        _ = &mut call => unreachable!("nothing answers"),
        () = sleep(millis(250)) => {}
    }
    assert_eq!((inner.calls(), Arc::strong_count(&alive)), (3, 4));
    assert_eq!(service.shared.settings.budget.used(), 10_000);
    drop(call);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(service.shared.settings.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_long_to_keep_is_sent_once() {
    let config = RetryConfig {
        call_buffer: 3,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&layer_of(3, "").with_config(config));
    later(&inner, 1_000, || ok("first".into()));
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn hedging_can_be_switched_off() {
    let config = RetryConfig {
        enabled: false,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&layer_of(3, "").with_config(config));
    later(&inner, 1_000, || ok("first".into()));
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_answer_says_how_many_attempts_there_were_and_which_had_failed() {
    let (inner, service) = hedging(4);
    later(&inner, 30, || unavailable(1));
    hang(&inner, &Arc::new(()));
    later(&inner, 10, || {
        ok("third".into()).map(|mut response| {
            response.extensions_mut().insert(picked(3));
            response
        })
    });
    let response = service.oneshot(unary("hello")).await.unwrap();
    let answered = response.extensions().get::<Answered>().unwrap();
    assert_eq!(answered.attempts, 3);
    assert_eq!(
        answered.to_string(),
        "10.0.0.3:80, 3 attempts; failed: 1 10.0.0.1:80 UNAVAILABLE"
    );
}

#[tokio::test(start_paused = true)]
async fn each_of_two_failures_at_one_time_starts_an_attempt() {
    let (inner, service) = hedging(4);
    later(&inner, 150, || unavailable(1));
    later(&inner, 50, || unavailable(2));
    inner.hang();
    later(&inner, 10, || ok("fourth".into()));
    let start = Instant::now();
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(start.elapsed(), millis(160));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_at_the_deadline() {
    let config = ServiceConfig::parse(
        r#"{"methodConfig":[{"name":[{}],"timeout":"1s","hedgingPolicy":
            {"maxAttempts":3,"hedgingDelay":"0.5s"}}]}"#,
    )
    .unwrap();
    let layer = RetryLayer::new(&config).with_deadline(crate::DeadlineLayer::new(&config));
    let (inner, service) = service(&layer);
    inner.hang().hang();
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert!(status.message().ends_with("no response yet"), "{status}");
    assert_eq!(inner.calls(), 2);
}
