use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{
    AttemptError, BreakerOpen, CallDropped, CallFailed, DeadlineExceeded, cause,
};
use evenkeel_core::{Address, Answered, Attempt, Deadline, Endpoint, EndpointId, Picked, Progress};
use evenkeel_service_config::ServiceConfig;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt;
use tower_layer::Layer;

use super::*;
use crate::scripted::{
    Scripted, TestBody, body, collect, data, endless, ok, refusal, trailers, unary,
};

mod deadline;
mod hedging;
mod limits;
mod live;
mod streaming;

type Inner = Scripted<ReplayBody<TestBody>>;

const POLICY: &str = r#""methodConfig":[{"name":[{"service":"test.Service"}],
    "retryPolicy":{"maxAttempts":4,"initialBackoff":"1s","maxBackoff":"3s","backoffMultiplier":2,
                   "retryableStatusCodes":["UNAVAILABLE"]}}]"#;

fn config() -> ServiceConfig {
    ServiceConfig::parse(&format!("{{{POLICY}}}")).unwrap()
}

/// Six tokens: at three, retries stop.
fn throttled() -> ServiceConfig {
    let throttling = r#""retryThrottling":{"maxTokens":6,"tokenRatio":1}"#;
    ServiceConfig::parse(&format!("{{{POLICY},{throttling}}}")).unwrap()
}

fn service(layer: &RetryLayer) -> (Inner, Retry<Inner>) {
    let inner = Scripted::new();
    (inner.clone(), layer.layer(inner))
}

fn retrying() -> (Inner, Retry<Inner>) {
    service(&RetryLayer::new(&config()))
}

fn picked(number: u64) -> Picked {
    let address = format!("10.0.0.{number}:80").parse::<Address>().unwrap();
    Picked::new(EndpointId(number), Endpoint::new(address).into())
}

/// An attempt that failed on its way to endpoint `number`.
fn lost(number: u64, progress: Progress) -> Status {
    AttemptError::new(progress, "connection lost")
        .with_picked(picked(number))
        .into_status(Code::Unavailable)
}

fn unavailable(number: u64) -> Result<Response<TestBody>, Status> {
    refusal(Code::Unavailable).map(|mut response| {
        response.extensions_mut().insert(picked(number));
        response
    })
}

fn header<'h>(head: &'h http::request::Parts, name: &str) -> Option<&'h str> {
    head.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_passes_unchanged() {
    let (inner, service) = retrying();
    inner.echo();
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert!(response.headers().is_empty());
    assert_eq!(collect(response).await, ("hello".into(), Some(Code::Ok)));
    let head = &inner.heads()[0];
    assert_eq!(head.headers, *unary("hello").headers());
    assert!(
        head.extensions.is_empty(),
        "a first attempt carries nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_avoids_what_was_tried_and_is_the_same_request_otherwise() {
    #[derive(Clone, PartialEq, Debug)]
    struct Mine(u8);

    let (inner, service) = retrying();
    inner
        .reply(|| unavailable(1))
        .reply(|| Err(lost(2, Progress::Sent)))
        .echo();
    let mut request = unary("hello");
    request.extensions_mut().insert(Mine(7));
    let start = Instant::now();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(collect(response).await.0, "hello");

    let waited = start.elapsed();
    let (least, most) = (Duration::from_millis(2_400), Duration::from_millis(3_602));
    assert!(
        waited >= least && waited <= most,
        "0.8 to 1.2 of 1 s + 2 s: {waited:?}"
    );
    let heads = inner.heads();
    for (index, tried) in [(1, &[1][..]), (2, &[1, 2])] {
        let head = &heads[index];
        let attempt = head.extensions.get::<Attempt>().unwrap();
        let expected = tried.iter().map(|id| EndpointId(*id)).collect();
        assert_eq!(*attempt, Attempt::new(index as u32 + 1, expected));
        let previous = index.to_string();
        assert_eq!(header(head, "grpc-previous-rpc-attempts"), Some(&*previous));
        assert_eq!(header(head, "x-user"), Some("someone"));
        assert_eq!(head.extensions.get(), Some(&Mine(7)));
        assert_eq!((&head.uri, &head.method), (&heads[0].uri, &heads[0].method));
    }
    assert_eq!(header(&heads[0], "grpc-previous-rpc-attempts"), None);
}

#[tokio::test(start_paused = true)]
async fn ordinary_and_repeated_and_odd_headers_are_all_sent_again() {
    let (inner, service) = retrying();
    let mut request = unary("hello");
    *request.uri_mut() = "https://users.test/test.Service/Method?x=1"
        .parse()
        .unwrap();
    for (name, value) in [
        ("te", "trailers"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("content-type", "application/grpc+proto"),
        ("key", "a"),
        ("key", "b"),
    ] {
        let headers = request.headers_mut();
        headers.append(name, HeaderValue::from_static(value));
    }
    inner.reply(|| unavailable(1));
    inner.echo();
    drop(service.oneshot(request).await.unwrap());
    let [first, second] = &inner.heads()[..] else {
        panic!("two attempts");
    };
    assert_eq!(first.uri, second.uri);
    let mut again = second.headers.clone();
    assert_eq!(again.remove("grpc-previous-rpc-attempts").unwrap(), "1");
    assert_eq!(again, first.headers);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_for_good_has_the_last_status_and_the_story() {
    let (inner, service) = retrying();
    for number in 1..=3 {
        inner.reply(move || unavailable(number));
    }
    inner.reply(|| Err(lost(4, Progress::Sent)));
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 4);
    assert_eq!(status.code(), Code::Unavailable);
    let error = cause::<CallFailed>(&status).unwrap();
    assert_eq!(error.attempts.len(), 4);
    assert_eq!(error.attempts[3].message, "10.0.0.4:80: connection lost");
    assert_eq!(
        status.message(),
        "10.0.0.4:80: connection lost; no attempts left after 4 attempts: \
         1 10.0.0.1:80 UNAVAILABLE; 2 10.0.0.2:80 UNAVAILABLE; \
         3 10.0.0.3:80 UNAVAILABLE; 4 10.0.0.4:80 UNAVAILABLE"
    );
    assert!(
        cause::<AttemptError>(&status).is_some(),
        "the chain goes on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_response_tells_its_attempts_in_its_metadata() {
    let (inner, service) = retrying();
    inner
        .reply(|| unavailable(1))
        .reply(|| refusal(Code::NotFound));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!(
        response.headers()["evenkeel-attempts"],
        "1 10.0.0.1:80 UNAVAILABLE; 2 NOT_FOUND"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_failures_tells_of_them() {
    let (inner, service) = retrying();
    inner.reply(|| unavailable(1)).reply(|| {
        ok("hello".into()).map(|mut response| {
            response.extensions_mut().insert(picked(2));
            response
        })
    });
    let response = service.oneshot(unary("hello")).await.unwrap();
    let answered = response.extensions().get::<Answered>().unwrap();
    assert_eq!((answered.attempts, answered.failed.len()), (2, 1));
    assert_eq!(
        answered.to_string(),
        "10.0.0.2:80, 2 attempts; failed: 1 10.0.0.1:80 UNAVAILABLE"
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_is_named_only_when_that_is_asked_for() {
    for name_endpoints in [false, true] {
        let config = RetryConfig {
            name_endpoints,
            ..RetryConfig::default()
        };
        let (inner, service) = service(&RetryLayer::new(&self::config()).with_config(config));
        inner.echo();
        let response = service.oneshot(unary("hello")).await.unwrap();
        let answered = response.extensions().get::<Answered>();
        assert_eq!(answered.map(|it| it.attempts), name_endpoints.then_some(1));
        let told = inner.heads()[0].extensions.get::<Attempt>().is_some();
        assert_eq!(told, name_endpoints, "so that whoever picks names it");
    }
}

#[tokio::test(start_paused = true)]
async fn one_failed_attempt_is_passed_on_untouched() {
    let (inner, service) = retrying();
    inner.reply(|| Err(Status::internal("broken")));
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "broken")
    );
}

#[tokio::test(start_paused = true)]
async fn response_headers_commit_whatever_the_trailers_say() {
    let (inner, service) = retrying();
    inner.reply(|| Ok(Response::new(body([trailers(Code::Unavailable)]))));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await.1, Some(Code::Unavailable));
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_proxys_503_is_retried_as_unavailable() {
    let (inner, service) = retrying();
    inner
        .reply(|| Ok(Response::builder().status(503).body(body([])).unwrap()))
        .echo();
    assert!(service.oneshot(unary("hello")).await.is_ok());
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn pushback_is_obeyed_to_the_millisecond() {
    let (inner, service) = retrying();
    let pushed = |value: &'static str| {
        move || {
            unavailable(1).map(|mut response| {
                let headers = response.headers_mut();
                headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static(value));
                response
            })
        }
    };
    inner.reply(pushed("12345")).reply(pushed("-1"));
    let start = Instant::now();
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(inner.calls(), 2, "a negative pushback stops");
    assert_eq!(start.elapsed().as_millis(), 12_345);
}

#[tokio::test(start_paused = true)]
async fn what_no_server_saw_is_tried_again_without_a_policy_and_without_counting() {
    let (inner, service) = service(&RetryLayer::new(&ServiceConfig::default()));
    for _ in 0..3 {
        inner.reply(|| Err(lost(1, Progress::NotSent)));
    }
    inner.reply(|| Err(lost(2, Progress::Refused))).echo();
    service.oneshot(unary("hello")).await.unwrap();
    let heads = inner.heads();
    assert_eq!(heads.len(), 5);
    for head in &heads {
        assert_eq!(header(head, "grpc-previous-rpc-attempts"), None);
    }
    let attempt = heads[4].extensions.get::<Attempt>().unwrap();
    assert_eq!(attempt.number, 1);
    assert_eq!(attempt.tried[..], [EndpointId(1), EndpointId(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_may_have_seen_needs_a_policy() {
    let (inner, service) = service(&RetryLayer::new(&ServiceConfig::default()));
    inner.reply(|| Err(lost(1, Progress::Sent)));
    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_can_be_switched_off_but_not_the_transparent_one() {
    let config = RetryConfig {
        enabled: false,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&RetryLayer::new(&self::config()).with_config(config));
    inner
        .reply(|| Err(lost(1, Progress::Refused)))
        .reply(|| Err(lost(1, Progress::Sent)));
    service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_this_side_refused_for_good_is_not_tried_again() {
    let breaker = BreakerOpen::new("a".into(), Duration::ZERO, "b".into());
    for status in [
        CallDropped::mark(Status::unavailable("rate limit of the policy")),
        AttemptError::new(Progress::NotSent, breaker).into_status(Code::Unavailable),
        DeadlineExceeded::new("/test.Service/Method").into(),
    ] {
        let (inner, service) = retrying();
        inner.reply(|| Err(status));
        service.oneshot(unary("hello")).await.unwrap_err();
        assert_eq!(inner.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_gets_what_is_left_of_the_deadline() {
    let (inner, service) = retrying();
    inner
        .reply_with(async |_| {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Err(lost(1, Progress::Sent))
        })
        .echo();
    let mut request = unary("hello");
    let start = Instant::now();
    let deadline = Deadline((start + Duration::from_secs(20)).into_std());
    request.extensions_mut().insert(deadline);
    let timeout = HeaderValue::from_static("20S");
    request.headers_mut().insert("grpc-timeout", timeout);
    service.oneshot(request).await.unwrap();

    let heads = inner.heads();
    assert_eq!(header(&heads[0], "grpc-timeout"), Some("20S"));
    let second = crate::timeout::decode(&heads[1].headers["grpc-timeout"]).unwrap();
    assert_eq!(
        second.as_millis(),
        (Duration::from_secs(20) - start.elapsed()).as_millis()
    );
    assert_eq!(heads[1].extensions.get(), Some(&deadline));
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_layer_the_callers_timeout_still_shrinks() {
    let (inner, service) = retrying();
    inner.reply(|| Err(lost(1, Progress::Sent))).echo();
    let mut request = unary("hello");
    let timeout = HeaderValue::from_static("20S");
    request.headers_mut().insert("grpc-timeout", timeout);
    let start = Instant::now();
    service.oneshot(request).await.unwrap();
    let second = crate::timeout::decode(&inner.heads()[1].headers["grpc-timeout"]).unwrap();
    assert_eq!(
        second.as_millis(),
        (Duration::from_secs(20) - start.elapsed()).as_millis()
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_within_the_delay_ends_the_call_then() {
    let (inner, service) = retrying();
    inner.reply(|| Err(lost(1, Progress::Sent)));
    let mut request = unary("hello");
    let start = Instant::now();
    let half = Duration::from_millis(500);
    let deadline = Deadline((start + half).into_std());
    request.extensions_mut().insert(deadline);
    let status = service.oneshot(request).await.unwrap_err();
    assert_eq!(start.elapsed(), half);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let error = cause::<DeadlineExceeded>(&status).unwrap();
    assert_eq!(error.path, "/test.Service/Method");
    let last = error.last.as_deref().unwrap();
    assert!(
        last.ends_with("attempts: 1 10.0.0.1:80 UNAVAILABLE"),
        "{last}"
    );
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_share_the_throttle_and_success_at_the_trailers_refills_it() {
    let (inner, first) = service(&RetryLayer::new(&throttled()));
    for _ in 0..3 {
        inner.reply(|| Err(lost(1, Progress::Sent)));
    }
    let second = first.clone();
    first.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 3, "throttled after three failures");

    inner.echo().echo();
    let unread = second.clone().oneshot(unary("hello")).await.unwrap();
    drop(unread);
    inner.reply(|| Err(lost(1, Progress::Sent)));
    let response = first.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await.1, Some(Code::Ok));
    second.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 6, "4 tokens - 1 are not more than half of 6");

    for _ in 0..2 {
        inner.echo();
        let response = first.clone().oneshot(unary("hello")).await.unwrap();
        collect(response).await;
    }
    inner.reply(|| Err(lost(1, Progress::Sent))).echo();
    second.oneshot(unary("hello")).await.unwrap();
    assert_eq!(inner.calls(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_success_without_a_message_refills_the_throttle_too() {
    let (inner, service) = service(&RetryLayer::new(&throttled()));
    for _ in 0..3 {
        inner.reply(|| Err(lost(1, Progress::Sent)));
    }
    service.clone().oneshot(unary("hello")).await.unwrap_err();
    for _ in 0..2 {
        inner.reply(|| refusal(Code::Ok));
        let response = service.clone().oneshot(unary("hello")).await.unwrap();
        collect(response).await;
    }
    inner.reply(|| Err(lost(1, Progress::Sent))).echo();
    service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(inner.calls(), 7, "5 tokens - 1 are more than half of 6");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_its_delay() {
    let (inner, service) = retrying();
    inner.reply(|| Err(lost(1, Progress::Sent)));
    let mut call = Box::pin(service.oneshot(unary("hello")));
    assert!(call.as_mut().now_or_never().is_none());
    drop(call);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_its_attempt() {
    let (inner, service) = retrying();
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    inner.reply_with(async move |_| {
        let _held = held;
        std::future::pending().await
    });
    let mut call = Box::pin(service.oneshot(unary("hello")));
    assert!(call.as_mut().now_or_never().is_none());
    drop(call);
    assert!(dropped.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_pending_inner_service_is_not_called_not_even_for_a_retry() {
    let layer = RetryLayer::new(&config());
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<ReplayBody<TestBody>>, Response<TestBody>, _>(
            layer,
        );
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let mut call = Box::pin(service.call(unary("hello")));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error(Status::unavailable("lost"));
    assert!(call.as_mut().now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(
        call.as_mut().now_or_never().is_none(),
        "the service is not ready"
    );
    handle.allow(1);
    let serve = async {
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(ok(Bytes::new()).unwrap());
    };
    let (response, ()) = tokio::join!(call, serve);
    assert!(response.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unary_body_that_fails_is_never_sent() {
    let (inner, service) = retrying();
    let broken = Request::new(body([Err(Status::resource_exhausted("too large"))]));
    let status = service.oneshot(broken).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(inner.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_buffers_is_sent_once() {
    for (call_buffer, channel_buffer) in [(4, 1 << 20), (1 << 20, 0)] {
        let config = RetryConfig {
            call_buffer,
            channel_buffer,
            ..RetryConfig::default()
        };
        let (inner, service) = service(&RetryLayer::new(&self::config()).with_config(config));
        inner.reply_with(async |request| {
            let body = http_body_util::BodyExt::collect(request.into_body()).await?;
            assert_eq!(body.to_bytes(), "hello");
            Err(lost(1, Progress::Sent))
        });
        let status = service.oneshot(unary("hello")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(inner.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_one_frame_is_sent_with_its_length_and_its_end() {
    use http_body::Body as _;
    let (inner, service) = retrying();
    inner.reply_with(async |request| {
        let mut body = request.into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "hello");
        assert!(body.is_end_stream());
        ok(Bytes::new())
    });
    service.oneshot(unary("hello")).await.unwrap();
}
