//! A service that answers as the test says and remembers what it was asked.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tonic::{Code, Status};
use tower_service::Service;

pub(crate) type TestBody = UnsyncBoxBody<Bytes, Status>;
pub(crate) type Answer = Result<Response<TestBody>, Status>;
type Reply<B> = Box<dyn FnOnce(Request<B>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send>;

/// Clones share the script and the log.
pub(crate) struct Scripted<B> {
    shared: Arc<Shared<B>>,
}

struct Shared<B> {
    replies: Mutex<VecDeque<Reply<B>>>,
    heads: Mutex<Vec<Parts>>,
}

impl<B> Clone for Scripted<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<B> Scripted<B> {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            replies: Mutex::default(),
            heads: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What every request looked like so far.
    pub(crate) fn heads(&self) -> Vec<Parts> {
        self.shared.heads.lock().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.shared.heads.lock().len()
    }
}

impl<B> Scripted<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Debug,
{
    pub(crate) fn reply_with<F>(
        &self,
        reply: impl FnOnce(Request<B>) -> F + Send + 'static,
    ) -> &Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let reply: Reply<B> = Box::new(move |request| Box::pin(reply(request)));
        self.shared.replies.lock().push_back(reply);
        self
    }

    /// Reads the whole request, then answers.
    pub(crate) fn reply(&self, answer: impl FnOnce() -> Answer + Send + 'static) -> &Self {
        self.reply_with(async move |request| {
            request.into_body().collect().await.expect("a whole body");
            answer()
        })
    }

    /// There was no request for what was scripted.
    pub(crate) fn forget_replies(&self) {
        self.shared.replies.lock().clear();
    }

    pub(crate) fn hang(&self) -> &Self {
        self.reply_with(|_| pending())
    }

    /// Answers with the request's own bytes and OK.
    pub(crate) fn echo(&self) -> &Self {
        self.reply_with(async |request| {
            let body = request.into_body().collect().await.expect("a whole body");
            ok(body.to_bytes())
        })
    }
}

impl<B: Send + 'static> Service<Request<B>> for Scripted<B> {
    type Response = Response<TestBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        self.shared.heads.lock().push(parts.clone());
        let reply = self.shared.replies.lock().pop_front();
        let reply = reply.expect("the script has no more replies");
        reply(Request::from_parts(parts, body))
    }
}

pub(crate) fn body(
    frames: impl IntoIterator<Item = Result<Frame<Bytes>, Status>, IntoIter: Send + 'static>,
) -> TestBody {
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// A response that gives `frames` and then nothing more, without an end.
pub(crate) fn endless(
    frames: impl IntoIterator<Item = Result<Frame<Bytes>, Status>, IntoIter: Send + 'static>,
) -> TestBody {
    StreamBody::new(stream::iter(frames).chain(stream::pending())).boxed_unsync()
}

pub(crate) fn data(text: &'static str) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn status_map(code: Code) -> HeaderMap {
    HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        HeaderValue::from(code as i32),
    )])
}

pub(crate) fn trailers(code: Code) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::trailers(status_map(code)))
}

pub(crate) fn ok(message: Bytes) -> Answer {
    let frames = [Ok(Frame::data(message)), trailers(Code::Ok)];
    Ok(Response::new(body(frames)))
}

/// A Trailers-Only response.
pub(crate) fn refusal(code: Code) -> Answer {
    let mut response = Response::new(body([]));
    *response.headers_mut() = status_map(code);
    Ok(response)
}

/// A unary request as tonic's stubs make it: its end shows only after its frame.
pub(crate) fn unary(message: &'static str) -> Request<TestBody> {
    let mut request = Request::post("/test.Service/Method")
        .body(body([data(message)]))
        .expect("a request");
    let headers = request.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("x-user", HeaderValue::from_static("someone"));
    request
}

/// Collects a response: its message and the code of its trailers.
pub(crate) async fn collect<B>(response: Response<B>) -> (Bytes, Option<Code>)
where
    B: Body<Data = Bytes, Error = Status>,
{
    let body = response.into_body().collect().await.expect("a whole body");
    let code = body
        .trailers()
        .and_then(evenkeel_core::observe::grpc_status);
    (body.to_bytes(), code)
}
