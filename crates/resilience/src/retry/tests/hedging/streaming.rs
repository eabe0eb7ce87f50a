//! Requests that are not complete when their call starts, read by several attempts.

use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;

type Messages = mpsc::UnboundedSender<Result<http_body::Frame<Bytes>, Status>>;

/// A request whose body the test writes.
fn streaming() -> (Messages, Request<TestBody>) {
    let (messages, body) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(body)).boxed_unsync();
    (messages, unary("").map(|_| body))
}

async fn next(body: &mut ReplayBody<TestBody>) -> Option<Result<Bytes, Status>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

/// Hands the request's body to the test and waits for its answer.
fn hand_over(
    inner: &Inner,
) -> (
    oneshot::Receiver<ReplayBody<TestBody>>,
    oneshot::Sender<crate::scripted::Answer>,
) {
    let (hand, body) = oneshot::channel();
    let (answer, answered) = oneshot::channel();
    inner.reply_with(async move |request| {
        hand.send(request.into_body()).expect("the test waits");
        answered.await.expect("the test answers")
    });
    (body, answer)
}

#[tokio::test(start_paused = true)]
async fn attempts_of_a_stream_read_the_same_and_the_winner_reads_on_alone() {
    let (inner, service) = hedging(2);
    let (messages, request) = streaming();
    let (first, _first_answer) = hand_over(&inner);
    let (second, answer) = hand_over(&inner);
    messages.send(data("one")).unwrap();
    let budget = service.shared.settings.budget.clone();
    let call = running(service.oneshot(request));
    let (mut first, mut second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "one");
    messages.send(data("two")).unwrap();
    for expected in ["one", "two"] {
        assert_eq!(next(&mut second).await.unwrap().unwrap(), expected);
    }
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "two");
    assert_eq!(budget.used(), 6);

    answer.send(Ok(Response::new(endless([])))).unwrap();
    let _response = call.await.unwrap();
    assert_eq!(budget.used(), 0);
    messages.send(data("three")).unwrap();
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "three");
    let lost = next(&mut first).await.unwrap().unwrap_err();
    assert_eq!(lost.code(), Code::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_outgrows_its_buffer_keeps_the_attempt_that_has_read_most() {
    let config = RetryConfig {
        call_buffer: 8,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&layer_of(3, "").with_config(config));
    let (messages, request) = streaming();
    let (first, mut lost) = hand_over(&inner);
    let (second, answer) = hand_over(&inner);
    messages.send(data("12345")).unwrap();
    let call = running(service.oneshot(request));
    let (_first, mut second) = (first.await.unwrap(), second.await.unwrap());
    messages.send(data("67890")).unwrap();
    for expected in ["12345", "67890"] {
        assert_eq!(next(&mut second).await.unwrap().unwrap(), expected);
    }
    // The call learns of it, and drops the other.
    lost.closed().await;
    sleep(millis(1_000)).await;
    assert_eq!(inner.calls(), 2, "and no more start");
    answer.send(ok("second".into())).unwrap();
    let response = call.await.unwrap();
    assert_eq!(collect(response).await.0, "second");
}

#[tokio::test(start_paused = true)]
async fn a_committed_attempt_that_fails_is_the_calls_failure() {
    let config = RetryConfig {
        call_buffer: 4,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&layer_of(3, "").with_config(config));
    let (messages, request) = streaming();
    let (body, answer) = hand_over(&inner);
    let call = running(service.oneshot(request));
    let mut body = body.await.unwrap();
    messages.send(data("12345")).unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "12345");
    answer.send(Err(lost(1, Progress::Sent))).unwrap();
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_attempts_that_have_read_the_same_the_newest_keeps_a_stream_that_outgrows_its_buffer() {
    let config = RetryConfig {
        call_buffer: 8,
        ..RetryConfig::default()
    };
    let (inner, service) = service(&layer_of(2, "").with_config(config));
    let (messages, request) = streaming();
    let (first, mut lost) = hand_over(&inner);
    let (second, answer) = hand_over(&inner);
    messages.send(data("12345")).unwrap();
    let call = running(service.oneshot(request));
    let (mut first, mut second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "12345");
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "12345");
    messages.send(data("67890")).unwrap();
    messages.send(data("and on")).unwrap();
    // It is the first that finds out.
    let told = next(&mut first).await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::Cancelled);
    lost.closed().await;
    for expected in ["67890", "and on"] {
        assert_eq!(next(&mut second).await.unwrap().unwrap(), expected);
    }
    answer.send(ok("second".into())).unwrap();
    assert_eq!(collect(call.await.unwrap()).await.0, "second");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_failed_reads_nothing_more_and_owns_nothing() {
    let config = RetryConfig {
        call_buffer: 8,
        ..RetryConfig::default()
    };
    for layer in [layer_of(2, ""), RetryLayer::new(&self::config())] {
        let (inner, service) = service(&layer.with_config(config));
        let (messages, request) = streaming();
        let (first, failed) = hand_over(&inner);
        let (second, answer) = hand_over(&inner);
        messages.send(data("12345")).unwrap();
        let call = running(service.oneshot(request));
        let mut first = first.await.unwrap();
        assert_eq!(next(&mut first).await.unwrap().unwrap(), "12345");
        failed.send(unavailable(1)).unwrap();
        let mut second = second.await.unwrap();
        messages.send(data("67890")).unwrap();
        // Whoever sends it has not noticed yet.
        let told = next(&mut first).await.unwrap().unwrap_err();
        assert_eq!(told.code(), Code::Cancelled);
        for expected in ["12345", "67890"] {
            assert_eq!(next(&mut second).await.unwrap().unwrap(), expected);
        }
        answer.send(ok("second".into())).unwrap();
        assert_eq!(collect(call.await.unwrap()).await.0, "second");
    }
}
