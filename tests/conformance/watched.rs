//! Servers without a network: connections are made at once, calls are answered at once, and what
//! comes of `grpc.health.v1.Health/Watch` is the test's.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use evenkeel::transport::{CloseReason, ConnectError, Connected, Connection, RequestBody};
use evenkeel::{Address, Connect, Endpoint};
use futures_util::future::{BoxFuture, FutureExt};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

pub(crate) const SERVING: u8 = 1;
pub(crate) const NOT_SERVING: u8 = 2;

type Item = Result<Frame<Bytes>, Status>;
type Body = StreamBody<UnboundedReceiverStream<Item>>;

/// All servers there are; whatever the address, one is there.
#[derive(Clone)]
pub(crate) struct Servers(Arc<Shared>);

struct Shared {
    /// By the address that was called.
    calls: Mutex<BTreeMap<String, usize>>,
    /// The last one to each address, and how many there were.
    connections: Mutex<BTreeMap<String, (oneshot::Sender<CloseReason>, usize)>>,
    watches: mpsc::UnboundedSender<Watch>,
}

/// A connection to one server.
#[derive(Clone)]
pub(crate) struct ToServer {
    servers: Servers,
    address: String,
}

/// A call of `Watch`, as its server sees it.
pub(crate) struct Watch {
    pub(crate) at: Instant,
    /// The address of the server.
    pub(crate) server: String,
    pub(crate) path: String,
    pub(crate) service: String,
    answer: oneshot::Sender<Result<Response<Body>, Status>>,
}

/// The answer to a [`Watch`].
pub(crate) struct Answers(mpsc::UnboundedSender<Item>);

impl Servers {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Watch>) {
        let (to_watches, watches) = mpsc::unbounded_channel();
        let shared = Shared {
            calls: Mutex::default(),
            connections: Mutex::default(),
            watches: to_watches,
        };
        (Self(Arc::new(shared)), watches)
    }

    /// How many calls went to `address`, `Watch` not counted.
    pub(crate) fn calls(&self, address: &str) -> usize {
        self.0.calls.lock().get(address).copied().unwrap_or(0)
    }

    /// How many connections there were to `address`.
    pub(crate) fn connections(&self, address: &str) -> usize {
        let connections = self.0.connections.lock();
        connections.get(address).map_or(0, |(_, count)| *count)
    }

    /// Sends GOAWAY over the last connection to `address`.
    pub(crate) fn go_away(&self, address: &str) {
        let mut connections = self.0.connections.lock();
        let (close, _) = connections.get_mut(address).unwrap();
        let close = std::mem::replace(close, oneshot::channel().0);
        // An error: nobody is connected.
        let _ = close.send(CloseReason::ClosedByPeer);
    }
}

impl Connect for Servers {
    type Connection = ToServer;
    type Future = BoxFuture<'static, Result<Connected<ToServer>, ConnectError>>;

    fn connect(&self, address: &Address, _: &Endpoint) -> Self::Future {
        let address = address.to_string();
        let (close, closed) = oneshot::channel();
        let mut connections = self.0.connections.lock();
        let count = connections.get(&address).map_or(0, |(_, count)| *count) + 1;
        connections.insert(address.clone(), (close, count));
        let servers = self.clone();
        async move { Ok(Connected::new(ToServer { servers, address }, closed)) }.boxed()
    }
}

impl Connection for ToServer {
    type ResponseBody = Body;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn send<B: RequestBody>(&self, request: Request<B>) -> Self::Future<B> {
        let Self { servers, address } = self.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.map_err(Into::into);
            let body = body.map_err(Status::from_error)?.to_bytes();
            if !path.starts_with("/grpc.health.v1.Health/") {
                *servers.0.calls.lock().entry(address).or_default() += 1;
                let (answers, response) = opened();
                answers.send(&[]);
                answers.end(Code::Ok);
                return Ok(response);
            }
            let (answer, answered) = oneshot::channel();
            // After the message's prefix of five bytes, the field's of two.
            let service = body.get(7..).unwrap_or_default().to_vec();
            let watch = Watch {
                at: Instant::now(),
                server: address,
                path,
                service: String::from_utf8(service).unwrap(),
                answer,
            };
            servers.0.watches.send(watch).ok().unwrap();
            answered.await.expect("the test answers")
        }
        .boxed()
    }
}

fn opened() -> (Answers, Response<Body>) {
    let (frames, body) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(body));
    (Answers(frames), Response::new(body))
}

impl Watch {
    /// Begins to answer.
    pub(crate) fn open(self) -> Answers {
        let (answers, response) = opened();
        self.answer.send(Ok(response)).ok().unwrap();
        answers
    }

    /// Begins with this status.
    pub(crate) fn say(self, status: u8) -> Answers {
        let answers = self.open();
        answers.say(status);
        answers
    }

    pub(crate) fn fail(self, code: Code) {
        let status = Status::new(code, "scripted");
        self.answer.send(Err(status)).ok().unwrap();
    }
}

impl Answers {
    /// Says that the service has this status.
    pub(crate) fn say(&self, status: u8) {
        self.send(&[8, status]);
    }

    fn send(&self, message: &[u8]) {
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        self.0.send(Ok(Frame::data(framed.into()))).ok().unwrap();
    }

    pub(crate) fn end(self, code: Code) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(code as i32));
        self.0.send(Ok(Frame::trailers(trailers))).ok().unwrap();
    }

    /// Waits until the client has cancelled it.
    pub(crate) async fn cancelled(&self) {
        self.0.closed().await;
    }
}
