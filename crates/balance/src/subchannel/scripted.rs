//! Connections that are made at once, over which the test answers each call.

use bytes::Bytes;
use evenkeel_core::{Address, Endpoint};
use evenkeel_transport::{CloseReason, Connect, ConnectError, Connected, Connection, RequestBody};
use futures_util::future::{BoxFuture, FutureExt};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

/// What a call streams back, for as long as the other side listens.
pub(super) type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>;
type Body = StreamBody<UnboundedReceiverStream<Result<Frame<Bytes>, Status>>>;
type Answer = Response<Body>;

/// Connects at once; what is sent over its connections, and how they end, is the test's.
#[derive(Clone)]
pub(super) struct Scripted {
    calls: mpsc::UnboundedSender<Call>,
    closes: mpsc::UnboundedSender<oneshot::Sender<CloseReason>>,
    streams: usize,
}

/// The test's side of it.
pub(super) struct Script {
    pub(super) calls: mpsc::UnboundedReceiver<Call>,
    pub(super) closes: mpsc::UnboundedReceiver<oneshot::Sender<CloseReason>>,
}

/// One call as the server sees it.
pub(super) struct Call {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) message: Bytes,
    answer: oneshot::Sender<Result<Answer, Status>>,
}

impl Scripted {
    pub(super) fn new() -> (Self, Script) {
        let (to_calls, calls) = mpsc::unbounded_channel();
        let (to_closes, closes) = mpsc::unbounded_channel();
        let scripted = Self {
            calls: to_calls,
            closes: to_closes,
            streams: usize::MAX,
        };
        (scripted, Script { calls, closes })
    }
}

impl Scripted {
    /// The same, with so many streams to a connection.
    pub(super) fn with_streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }
}

impl Connect for Scripted {
    type Connection = Self;
    type Future = BoxFuture<'static, Result<Connected<Self>, ConnectError>>;

    fn connect(&self, _: &Address, _: &Endpoint) -> Self::Future {
        let (close, closed) = oneshot::channel();
        self.closes.send(close).unwrap();
        let connected = Connected::new(self.clone(), closed);
        async move { Ok(connected) }.boxed()
    }
}

impl Connection for Scripted {
    type ResponseBody = Body;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Answer, Status>>;

    fn send<B: RequestBody>(&self, request: http::Request<B>) -> Self::Future<B> {
        let calls = self.calls.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.map_err(Into::into);
            let body = body.map_err(Status::from_error)?.to_bytes();
            let (answer, answered) = oneshot::channel();
            let call = Call {
                at: Instant::now(),
                path,
                // After the prefix of five bytes: uncompressed, and how long it is.
                message: body.slice(5..),
                answer,
            };
            calls.send(call).unwrap();
            answered.await.expect("the test answers")
        }
        .boxed()
    }

    fn max_concurrent_streams(&self) -> usize {
        self.streams
    }
}

impl Call {
    /// Answers with headers; messages come as the test says.
    pub(super) fn open(self) -> Frames {
        let (frames, body) = mpsc::unbounded_channel();
        let body = StreamBody::new(UnboundedReceiverStream::new(body));
        self.answer.send(Ok(Response::new(body))).ok().unwrap();
        frames
    }

    pub(super) fn fail(self, code: Code) {
        let status = Status::new(code, "scripted");
        self.answer.send(Err(status)).ok().unwrap();
    }

    /// Waits until the caller has given it up, unanswered.
    pub(super) async fn given_up(mut self) {
        self.answer.closed().await;
    }
}

pub(super) fn message(message: &[u8]) -> Result<Frame<Bytes>, Status> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    Ok(Frame::data(framed.into()))
}

pub(super) fn trailers(code: Code) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code as i32));
    Ok(Frame::trailers(trailers))
}
