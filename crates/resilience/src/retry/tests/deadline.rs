//! One service that retries and ends calls does what two do.

use evenkeel_core::WaitForReady;
use http::request::Parts;
use http_body_util::BodyExt;
use tonic::TimeoutExpired;
use tower::util::BoxService;

use super::*;
use crate::DeadlineLayer;

const TIMED: &str = r#"{"methodConfig":[{"name":[{"service":"test.Service"}],
    "timeout":"10s","waitForReady":true,
    "retryPolicy":{"maxAttempts":4,"initialBackoff":"1s","maxBackoff":"3s","backoffMultiplier":2,
                   "retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

type Service = BoxService<Request<TestBody>, Response<TestBody>, Status>;

/// What there is to see of a call, from inside and from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    result: Result<(Bytes, Option<Code>), (Code, String)>,
    took: Duration,
    attempts: Vec<SeenAttempt>,
}

#[derive(Debug, PartialEq)]
struct SeenAttempt {
    headers: http::HeaderMap,
    left: Option<Duration>,
    wait_for_ready: Option<bool>,
}

fn one(inner: Inner) -> Service {
    let config = ServiceConfig::parse(TIMED).unwrap();
    let layer = RetryLayer::new(&config).with_deadline(DeadlineLayer::new(&config));
    boxed(layer.layer(inner))
}

fn two(inner: Inner) -> Service {
    let config = ServiceConfig::parse(TIMED).unwrap();
    boxed(DeadlineLayer::new(&config).layer(RetryLayer::new(&config).layer(inner)))
}

fn boxed<S, B>(service: S) -> Service
where
    S: tower_service::Service<Request<TestBody>, Response = Response<B>, Error = Status>,
    S: Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = Status> + Send + 'static,
{
    service
        .map_response(|response| response.map(BodyExt::boxed_unsync))
        .boxed()
}

/// Makes a call through both and tells what was seen, which is the same but for a story.
async fn seen(script: impl Fn(&Inner), request: impl Fn() -> Request<TestBody>) -> Seen {
    let inner = Inner::new();
    script(&inner);
    let by_one = call(&inner, one(inner.clone()), request()).await;
    let inner = Inner::new();
    script(&inner);
    let by_two = call(&inner, two(inner.clone()), request()).await;
    // One of both knows of the attempts before.
    match (&by_one.result, &by_two.result) {
        (Err((code, text)), Err((other, start))) => {
            assert!(code == other && text.starts_with(start), "{text}; {start}");
        }
        (one, two) => assert_eq!(one, two),
    }
    assert_eq!(
        (by_one.took, &by_one.attempts),
        (by_two.took, &by_two.attempts)
    );
    by_one
}

async fn call(inner: &Inner, service: Service, request: Request<TestBody>) -> Seen {
    let start = Instant::now();
    let result = async {
        let body = service.oneshot(request).await?.collect().await?;
        let code = body
            .trailers()
            .and_then(evenkeel_core::observe::grpc_status);
        Ok((body.to_bytes(), code))
    };
    let result: Result<_, Status> = result.await;
    let attempt = |head: Parts| SeenAttempt {
        left: head
            .extensions
            .get()
            .map(|Deadline(at)| *at - start.into_std()),
        wait_for_ready: head.extensions.get().map(|WaitForReady(waits)| *waits),
        headers: head.headers,
    };
    Seen {
        result: result.map_err(|status| (status.code(), status.message().to_owned())),
        took: start.elapsed(),
        attempts: inner.heads().into_iter().map(attempt).collect(),
    }
}

fn asking(timeout: &'static str) -> Request<TestBody> {
    let mut request = unary("hello");
    let headers = request.headers_mut();
    headers.insert("grpc-timeout", HeaderValue::from_static(timeout));
    request
}

/// Refused, to be tried again after three seconds.
fn pushed_back() -> Result<Response<TestBody>, Status> {
    unavailable(1).map(|mut response| {
        let headers = response.headers_mut();
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("3000"));
        response
    })
}

#[tokio::test(start_paused = true)]
async fn every_attempt_carries_what_is_left_of_the_time_and_how_it_waits() {
    let script = |inner: &Inner| {
        inner.reply(pushed_back).echo();
    };
    for (request, left, timeouts) in [
        (unary("hello"), 10, ["10000000u", "7000000u"]),
        (asking("5S"), 5, ["5S", "2000000u"]),
        (asking("60S"), 10, ["10000000u", "7000000u"]),
    ] {
        let (parts, _) = request.into_parts();
        let request = || Request::from_parts(parts.clone(), body([data("hello")]));
        let seen = seen(script, request).await;
        assert_eq!(seen.result, Ok(("hello".into(), Some(Code::Ok))));
        assert_eq!(seen.took, Duration::from_secs(3));
        for (attempt, timeout) in seen.attempts.iter().zip(timeouts) {
            assert_eq!(attempt.left, Some(Duration::from_secs(left)));
            assert_eq!(attempt.wait_for_ready, Some(true));
            assert_eq!(attempt.headers["grpc-timeout"], timeout);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_request_already_has_is_carried_as_it_is() {
    let script = |inner: &Inner| {
        inner.reply(pushed_back).echo();
    };
    let request = || {
        let mut request = unary("hello");
        let extensions = request.extensions_mut();
        extensions.insert(WaitForReady(false));
        extensions.insert(Deadline(Instant::now().into_std() + Duration::from_secs(4)));
        extensions.insert("something else");
        request
    };
    let seen = seen(script, request).await;
    assert_eq!(seen.attempts.len(), 2);
    for attempt in seen.attempts {
        assert_eq!(attempt.left, Some(Duration::from_secs(4)));
        assert_eq!(attempt.wait_for_ready, Some(false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_time_wherever_it_waits() {
    let exceeded = |why: &str| {
        let message = format!("deadline of the call to /test.Service/Method exceeded; {why}");
        Err((Code::DeadlineExceeded, message))
    };
    let over = Duration::from_secs(10);

    let call = seen(|_| {}, || asking("0S")).await;
    assert_eq!(call.result, exceeded("there was no time to send it"));
    assert!(call.attempts.is_empty());

    let hanging = |inner: &Inner| {
        inner.hang();
    };
    let call = seen(hanging, || unary("hello")).await;
    assert_eq!(call.result, exceeded("no response yet"));
    assert_eq!(call.took, over);

    let refused_then_hanging = |inner: &Inner| {
        inner.reply(pushed_back).hang();
    };
    let call = seen(refused_then_hanging, || unary("hello")).await;
    let story = "no response yet; failed before: 1 10.0.0.1:80 UNAVAILABLE";
    assert_eq!(call.result, exceeded(story));
    assert_eq!((call.took, call.attempts.len()), (over, 2));

    let stuck = |inner: &Inner| {
        inner.reply(|| Ok(Response::new(endless([data("a")]))));
    };
    let call = seen(stuck, || unary("hello")).await;
    assert_eq!(call.result, exceeded("the response was not complete"));
    assert_eq!(call.took, over);

    let cancelled = |inner: &Inner| {
        inner.reply_with(async move |_| {
            tokio::time::sleep(over).await;
            refusal(Code::Cancelled)
        });
    };
    let call = seen(cancelled, || unary("hello")).await;
    assert_eq!(call.result, exceeded("the server gave up"));

    let expired = |inner: &Inner| {
        inner.reply(|| Err(Status::from_error(Box::new(TimeoutExpired(())))));
    };
    let call = seen(expired, || unary("hello")).await;
    assert_eq!(call.result, exceeded("Timeout expired"));
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_told_when_the_time_is_over_before_the_next_attempt() {
    let script = |inner: &Inner| {
        inner.reply(pushed_back);
    };
    let seen = seen(script, || asking("3S")).await;
    let message = "deadline of the call to /test.Service/Method exceeded; ; \
                   attempts: 1 10.0.0.1:80 UNAVAILABLE";
    assert_eq!(seen.result, Err((Code::DeadlineExceeded, message.into())));
    assert_eq!(seen.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_layer_time_is_someone_elses_business() {
    let inner = Inner::new();
    inner.hang();
    let service = RetryLayer::new(&config()).layer(inner.clone());
    let mut call = Box::pin(service.oneshot(asking("1S")));
    assert!(call.as_mut().now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(call.as_mut().now_or_never().is_none());
}
