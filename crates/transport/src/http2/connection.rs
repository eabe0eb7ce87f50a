use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::Status;
use tower_service::Service;

use super::config::SendRequest;
use super::link::Link;
use super::streams::Streams;
use super::{Head, ResponseBody, ResponseFuture};
use crate::{Connection, RequestBody};

/// A handle on one open HTTP/2 connection; made by a [`Connector`](crate::Connector).
///
/// It is also a service, always ready: a tonic stub can use one connection as it is.
///
/// # Clone
///
/// Clones share the connection. When the last one and the last of its responses are dropped, it
/// is closed.
#[derive(Clone)]
pub struct Http2Connection {
    alive: Arc<Alive>,
}

/// What handles have in common, and calls do not.
struct Alive {
    shared: Arc<Shared>,
    /// Never sent: dropped with the last handle.
    _gone: oneshot::Sender<Infallible>,
}

/// What handles and calls have in common.
pub(super) struct Shared {
    pub(super) send: SendRequest,
    pub(super) head: Head,
    pub(super) link: Arc<Link>,
    pub(super) streams: Streams,
    pub(super) runtime: Handle,
}

impl Http2Connection {
    pub(super) fn new(shared: Arc<Shared>, gone: oneshot::Sender<Infallible>) -> Self {
        let alive = Alive {
            shared,
            _gone: gone,
        };
        Self {
            alive: Arc::new(alive),
        }
    }
}

impl Connection for Http2Connection {
    type ResponseBody = ResponseBody;
    type Future<B: RequestBody> = ResponseFuture<B>;

    fn send<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture<B> {
        ResponseFuture::new(request, &self.alive.shared)
    }

    fn max_concurrent_streams(&self) -> usize {
        self.alive.shared.send.current_max_send_streams()
    }

    fn open_streams(&self) -> Option<usize> {
        Some(self.alive.shared.streams.open())
    }

    fn wake_at_stream_end(&self, cx: &Context<'_>) {
        self.alive.shared.streams.watch(cx);
    }

    fn poll_max_concurrent_streams(&self, seen: usize, cx: &Context<'_>) -> Poll<usize> {
        let limit = &self.alive.shared.link.limit;
        limit.poll_changed(seen, || self.max_concurrent_streams(), cx)
    }
}

impl<B: RequestBody> Service<Request<B>> for Http2Connection {
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<B> {
        self.send(request)
    }
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection")
            .field("head", &self.alive.shared.head)
            .finish_non_exhaustive()
    }
}
