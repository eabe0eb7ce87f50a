//! Requests that are not complete when their call starts.

use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;

type Messages = mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>;

/// A request whose body the test writes.
fn streaming() -> (Messages, Request<TestBody>) {
    let (messages, body) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(body)).boxed_unsync();
    (messages, unary("").map(|_| body))
}

async fn next(body: &mut ReplayBody<TestBody>) -> Option<Bytes> {
    let frame = body.frame().await?.unwrap();
    Some(frame.into_data().unwrap())
}

#[tokio::test(start_paused = true)]
async fn messages_of_before_between_and_after_attempts_reach_the_last_one() {
    let (inner, service) = retrying();
    let (messages, request) = streaming();
    let late = messages.clone();
    messages.send(data("one")).unwrap();
    inner
        .reply_with(async move |request| {
            let mut body = request.into_body();
            assert_eq!(next(&mut body).await.unwrap(), "one");
            messages.send(data("two")).unwrap();
            assert_eq!(next(&mut body).await.unwrap(), "two");
            messages.send(data("three")).unwrap();
            Err(lost(1, Progress::Sent))
        })
        .reply_with(async move |request| {
            let mut body = request.into_body();
            for expected in ["one", "two", "three"] {
                assert_eq!(next(&mut body).await.unwrap(), expected);
            }
            late.send(data("four")).unwrap();
            drop(late);
            assert_eq!(next(&mut body).await.unwrap(), "four");
            assert_eq!(next(&mut body).await, None);
            ok(Bytes::new())
        });
    service.oneshot(request).await.unwrap();
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_response_headers_the_stream_goes_on_and_keeps_nothing() {
    let layer = RetryLayer::new(&config());
    let (inner, service) = service(&layer);
    let (messages, request) = streaming();
    messages.send(data("one")).unwrap();
    messages.send(data("two")).unwrap();
    let (hand_over, body) = tokio::sync::oneshot::channel();
    inner.reply_with(async move |request| {
        let mut body = request.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "one");
        hand_over.send(body).unwrap();
        Ok(Response::new(endless([])))
    });
    let _response = service.clone().oneshot(request).await.unwrap();
    let mut body = body.await.unwrap();
    assert_eq!(
        service.shared.settings.budget.used(),
        3,
        "only what was not sent yet"
    );
    assert_eq!(next(&mut body).await.unwrap(), "two");
    assert_eq!(service.shared.settings.budget.used(), 0);
    let large = Bytes::from(vec![0; 1 << 20]);
    messages.send(Ok(Frame::data(large.clone()))).unwrap();
    assert_eq!(next(&mut body).await.unwrap(), large);
    drop(messages);
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_outgrows_its_buffer_commits_to_the_running_attempt() {
    let config = RetryConfig {
        call_buffer: 8,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&RetryLayer::new(&self::config()).with_config(config));
    let (messages, request) = streaming();
    for text in ["1234", "5678", "9"] {
        messages.send(data(text)).unwrap();
    }
    let budget = service.shared.settings.budget.clone();
    inner.reply_with(async move |request| {
        let mut body = request.into_body();
        for expected in ["1234", "5678", "9"] {
            assert_eq!(next(&mut body).await.unwrap(), expected);
        }
        assert_eq!(budget.used(), 0);
        messages.send(data("and on")).unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "and on");
        Err(lost(1, Progress::Sent))
    });
    service.oneshot(request).await.unwrap_err();
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_buffers_of_a_channel_are_shared() {
    let config = RetryConfig {
        channel_buffer: 6,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&RetryLayer::new(&self::config()).with_config(config));
    let (first_messages, first) = streaming();
    first_messages.send(data("12345")).unwrap();
    inner.reply_with(async |request| {
        let mut body = request.into_body();
        next(&mut body).await;
        std::future::pending().await
    });
    let mut first = Box::pin(service.clone().oneshot(first));
    assert!(first.as_mut().now_or_never().is_none());

    let (messages, second) = streaming();
    messages.send(data("12")).unwrap();
    inner.reply_with(async |_| Err(lost(1, Progress::Sent)));
    service.clone().oneshot(second).await.unwrap_err();
    assert_eq!(inner.calls(), 2, "not enough left to keep it");
    drop(first);
    assert_eq!(
        service.shared.settings.budget.used(),
        0,
        "an abandoned call gives its share back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_body_that_fails_is_not_sent_again() {
    let (inner, service) = retrying();
    let (messages, request) = streaming();
    messages.send(data("one")).unwrap();
    inner.reply_with(async move |request| {
        let mut body = request.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "one");
        messages.send(Err(Status::data_loss("disk"))).unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.message(), "disk");
        Err(Status::unavailable("the request was cut"))
    });
    service.oneshot(request).await.unwrap_err();
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_attempts_may_read_at_once() {
    let (messages, request) = streaming();
    let mut source = request.into_body();
    messages.send(data("one")).unwrap();
    let replay::Upfront::Partial(frames, trailers) = replay::read_upfront(&mut source).unwrap()
    else {
        panic!("the body is not complete");
    };
    let budget = std::sync::Arc::new(replay::Budget::new(1_000));
    let lease = budget.empty_lease();
    let replay = replay::Replay::new(source, frames, trailers, None, 1_000, lease);
    let mut first = ReplayBody::shared(&replay);
    let mut second = ReplayBody::shared(&replay);
    assert_eq!(next(&mut first).await.unwrap(), "one");
    assert_eq!(next(&mut second).await.unwrap(), "one");

    // Both wait; the source wakes both.
    let feed = async {
        tokio::task::yield_now().await;
        messages.send(data("two")).unwrap();
    };
    let (a, b, ()) = tokio::join!(next(&mut first), next(&mut second), feed);
    assert_eq!((a.unwrap(), b.unwrap()), ("two".into(), "two".into()));

    // One that polled last is gone; the other is woken all the same.
    assert!(next(&mut first).now_or_never().is_none());
    assert!(next(&mut second).now_or_never().is_none());
    let waiting = async {
        let frame = next(&mut first).await;
        assert_eq!(frame.unwrap(), "three");
    };
    let feed = async {
        tokio::task::yield_now().await;
        drop(second);
        messages.send(data("three")).unwrap();
    };
    tokio::join!(waiting, feed);

    replay.commit(1);
    let mut third = ReplayBody::shared(&replay);
    let lost = third.frame().await.unwrap().unwrap_err();
    assert_eq!(lost.code(), Code::Cancelled);
    messages.send(data("four")).unwrap();
    assert_eq!(next(&mut first).await.unwrap(), "four");
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_request_are_replayed() {
    let (inner, service) = retrying();
    let request = unary("").map(|_| {
        let frames = [data("one"), trailers(Code::Ok)];
        StreamBody::new(stream::iter(frames).chain(stream::pending())).boxed_unsync()
    });
    let reading = async |request: Request<ReplayBody<TestBody>>| {
        let body = request.into_body().collect().await.unwrap();
        assert!(body.trailers().is_some());
        assert_eq!(body.to_bytes(), "one");
    };
    inner
        .reply_with(async move |request| {
            reading(request).await;
            Err(lost(1, Progress::Sent))
        })
        .reply_with(async move |request| {
            reading(request).await;
            ok(Bytes::new())
        });
    service.oneshot(request).await.unwrap();
}
