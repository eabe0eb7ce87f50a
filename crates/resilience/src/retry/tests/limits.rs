//! The longest messages that are sent and received.

use evenkeel_core::error::{MessageKind, MessageTooLarge};
use futures_util::{StreamExt, stream};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::MessageLimits;

type Answered = oneshot::Receiver<()>;

/// A message as gRPC has it in a body: prefix and bytes.
fn message(length: u32) -> Bytes {
    let mut bytes = vec![u8::from(length % 2 == 1)];
    bytes.extend(length.to_be_bytes());
    bytes.resize(bytes.len() + length as usize, b'x');
    bytes.into()
}

fn frame(bytes: Bytes) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(bytes))
}

fn limited(limits: &str) -> (Inner, Retry<Inner>) {
    let json = POLICY.replace(r#""retryPolicy""#, &format!(r#"{limits},"retryPolicy""#));
    let json = json.replace("UNAVAILABLE", r#"UNAVAILABLE","RESOURCE_EXHAUSTED"#);
    let config = ServiceConfig::parse(&format!("{{{json}}}")).unwrap();
    service(&RetryLayer::new(&config))
}

fn request(frames: Vec<Bytes>) -> Request<TestBody> {
    unary("").map(|_| body(frames.into_iter().map(frame)))
}

#[track_caller]
fn assert_too_large(status: &Status, kind: MessageKind, length: u32, limit: u32) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let error = cause::<MessageTooLarge>(status).unwrap();
    assert_eq!(
        (&*error.path, error.kind, error.length, error.limit),
        ("/test.Service/Method", kind, length, limit)
    );
}

/// A response that stays open; what is received ends when it is dropped.
fn open(frames: Vec<Bytes>) -> (Response<TestBody>, Answered) {
    let (held, dropped) = oneshot::channel();
    let frames = frames.into_iter().map(frame).inspect(move |_| {
        let _held = &held;
    });
    (Response::new(endless(frames)), dropped)
}

async fn receive<B: Body<Data = Bytes, Error = Status> + Unpin>(
    body: &mut B,
) -> Option<Result<usize, Status>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap().len()))
}

#[tokio::test(start_paused = true)]
async fn a_request_message_that_is_too_long_is_never_sent() {
    for (limit, frames, length) in [
        (4, vec![message(5)], 5),
        (0, vec![message(1)], 1),
        (
            4,
            vec![[message(4), message(0), message(9)].concat().into()],
            9,
        ),
        (4, vec![message(4), message(5)], 5),
        (4, vec![message(4).slice(..3), message(7)], 120),
    ] {
        let (inner, service) = limited(&format!(r#""maxRequestMessageBytes":{limit}"#));
        let expected = match &frames[..] {
            // The rest of a prefix that is cut is in the next frame.
            [first, _] if first.len() == 3 => u32::from_be_bytes([0, 0, 1, 0]),
            _ => length,
        };
        let status = service.oneshot(request(frames)).await.unwrap_err();
        assert_too_large(&status, MessageKind::Request, expected, limit);
        assert_eq!(inner.calls(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_as_long_as_they_may_be_pass() {
    for (limit, length) in [(0, 0), (4, 4), (u32::MAX, 9)] {
        let (inner, service) = limited(&format!(
            r#""maxRequestMessageBytes":{limit},"maxResponseMessageBytes":{limit}"#
        ));
        inner.echo();
        let response = service
            .oneshot(request(vec![message(length)]))
            .await
            .unwrap();
        let expected = (message(length), Some(Code::Ok));
        assert_eq!(collect(response).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_before_the_message_that_is_too_long_and_its_attempt_is_cancelled() {
    // While the request is kept for other attempts, and when it is the attempt's own.
    for is_committed in [false, true] {
        let (inner, service) = limited(r#""maxRequestMessageBytes":4"#);
        let (messages, body) = mpsc::unbounded_channel();
        let body = StreamBody::new(UnboundedReceiverStream::new(body)).boxed_unsync();
        messages.send(frame(message(4))).unwrap();
        let late = messages.clone();
        let (held, dropped) = oneshot::channel::<()>();
        inner.reply_with(async move |request| {
            let mut body = request.into_body();
            assert_eq!(receive(&mut body).await.unwrap().unwrap(), 9);
            if is_committed {
                let mut server = JoinSet::new();
                server.spawn(async move {
                    late.send(frame(message(3))).unwrap();
                    assert_eq!(receive(&mut body).await.unwrap().unwrap(), 8);
                    late.send(frame(message(5))).unwrap();
                    receive(&mut body).await;
                    unreachable!("no more of it comes, not even its end");
                });
                // Lasts as long as the response, unlike what is in its frames.
                let held = stream::once(async { frame(Bytes::new()) })
                    .chain(stream::pending())
                    .inspect(move |_| {
                        let _held = (&held, &server);
                    });
                return Ok(Response::new(StreamBody::new(held).boxed_unsync()));
            }
            let _held = held;
            late.send(frame(message(5))).unwrap();
            receive(&mut body).await;
            unreachable!("no more of it comes, not even its end");
        });
        let result = service.oneshot(unary("").map(|_| body)).await;
        let status = match result {
            Ok(response) => {
                let mut body = response.into_body();
                assert_eq!(receive(&mut body).await.unwrap().unwrap(), 0);
                receive(&mut body).await.unwrap().unwrap_err()
            }
            Err(status) => status,
        };
        assert_too_large(&status, MessageKind::Request, 5, 4);
        dropped.await.unwrap_err();
        assert_eq!(
            inner.calls(),
            1,
            "what would be the same again is not retried"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_ends_before_the_message_that_is_too_long() {
    let whole: Bytes = [message(4), message(2), message(300), message(1)]
        .concat()
        .into();
    for cut in 0..whole.len() {
        let (inner, service) = limited(r#""maxResponseMessageBytes":4"#);
        let frames = vec![whole.slice(..cut), whole.slice(cut..)];
        let (response, dropped) = open(frames);
        inner.reply_with(async move |_| Ok(response));
        let mut body = service.oneshot(unary("hello")).await.unwrap().into_body();
        let mut received = 0;
        let status = loop {
            assert!(!body.is_end_stream());
            match receive(&mut body).await.unwrap() {
                Ok(length) => received += length,
                Err(status) => break status,
            }
        };
        assert_too_large(&status, MessageKind::Response, 300, 4);
        // Of its own prefix what came in a frame before.
        let before = 9 + 7;
        let is_cut = (before..before + 5).contains(&cut);
        assert_eq!(received, if is_cut { cut } else { before }, "cut at {cut}");
        dropped.await.unwrap_err();
        assert!(body.is_end_stream() && receive(&mut body).await.is_none());
        assert_eq!(inner.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_prefix_alone_ends_a_response() {
    let (inner, service) = limited(r#""maxResponseMessageBytes":4"#);
    let (response, dropped) = open(vec![message(5).slice(..5)]);
    inner.reply_with(async move |_| Ok(response));
    let mut body = service.oneshot(unary("hello")).await.unwrap().into_body();
    let status = receive(&mut body).await.unwrap().unwrap_err();
    assert_too_large(&status, MessageKind::Response, 5, 4);
    dropped.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_lower_of_config_and_layer_counts() {
    for (config, layer, expected) in [
        (None, Some(3), 3),
        (Some(4), None, 4),
        (Some(4), Some(3), 3),
        (Some(3), Some(4), 3),
    ] {
        let limits = config.map_or_else(
            || "{}".to_owned(),
            |limit| {
                format!(
                    r#"{{"methodConfig":[{{"name":[{{}}],"maxRequestMessageBytes":{limit},
                        "maxResponseMessageBytes":{limit}}}]}}"#
                )
            },
        );
        let config = ServiceConfig::parse(&limits).unwrap();
        let layer = RetryLayer::new(&config).with_limits(MessageLimits {
            request: layer,
            response: layer,
        });
        let (inner, service) = service(&layer);
        let sent = service.clone().oneshot(request(vec![message(10)])).await;
        assert_too_large(&sent.unwrap_err(), MessageKind::Request, 10, expected);
        inner.reply_with(async |_| ok(message(10)));
        let response = service.oneshot(request(vec![message(1)])).await.unwrap();
        let status = receive(&mut response.into_body())
            .await
            .unwrap()
            .unwrap_err();
        assert_too_large(&status, MessageKind::Response, 10, expected);
    }
}
