mod close;
mod error;

use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::{Address, BoxError, Endpoint};
use http::{Request, Response};
use http_body::Body;
use tonic::Status;

pub use close::{CloseReason, ErrorCode};
pub use error::{ConnectError, ConnectStep};

/// The seam between the balancer and the wire: dials one address, once.
///
/// Backoff, timeouts, the order of addresses and the connectivity states live above it.
pub trait Connect: Clone + Send + Sync + 'static {
    /// What a successful attempt gives.
    type Connection: Connection;
    /// One attempt. Dropping it gives the attempt up and closes what was opened.
    type Future: Future<Output = Result<Connected<Self::Connection>, ConnectError>> + Send + 'static;

    /// Dials `address` of `endpoint`. Resolves when the peer's SETTINGS have arrived: READY.
    fn connect(&self, address: &Address, endpoint: &Endpoint) -> Self::Future;
}

/// A connection that is ready for calls.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected<C> {
    /// Sends requests. When the last clone and the last response body are dropped, the
    /// connection is closed.
    pub connection: C,
    /// Resolves once, as soon as the connection takes no new calls: on GOAWAY (running streams
    /// go on), keepalive timeout, loss of the connection.
    pub closed: tokio::sync::oneshot::Receiver<CloseReason>,
}

impl<C> Connected<C> {
    /// A connection and the word of its end.
    pub const fn new(connection: C, closed: tokio::sync::oneshot::Receiver<CloseReason>) -> Self {
        Self { connection, closed }
    }
}

/// A request body the transport can send.
///
/// `Unpin`, because a body that is not finished when the response begins moves on from the
/// request's future; `Box::pin` makes any body so, and `tonic::body::Body` is.
pub trait RequestBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> RequestBody for B {}

/// A cheap handle on one open connection.
pub trait Connection: Clone + Send + Sync + 'static {
    /// The body of its responses.
    type ResponseBody: Body<Data = Bytes, Error = Status> + Send + 'static;
    /// One request on its way. Dropping it resets the stream.
    type Future<B: RequestBody>: Future<Output = Result<Response<Self::ResponseBody>, Status>>
        + Send
        + 'static;

    /// Sends one request. Errors have an [`AttemptError`](evenkeel_core::error::AttemptError)
    /// as their source, which says how far the request got and gives it back when it never left.
    ///
    /// It may send at once, and ask the body for what it has: then by a waker that wakes nobody,
    /// and again when the future is first polled. Call it where the body may be polled.
    fn send<B: RequestBody>(&self, request: Request<B>) -> Self::Future<B>;

    /// How many streams the peer lets be open at once, by its last SETTINGS:
    /// MAX_CONCURRENT_STREAMS. More requests than that wait on the connection. Default: any number.
    fn max_concurrent_streams(&self) -> usize {
        usize::MAX
    }

    /// How many requests are on their way or being answered, until the bodies of their responses have ended
    /// or are dropped. Default: `None`, nobody counts them.
    fn open_streams(&self) -> Option<usize> {
        None
    }

    /// Has the task woken, once, when one of [`Self::open_streams`] ends: one task at a time. The number
    /// that is read after this is the one before such an end, or the task is woken. Default: never.
    fn wake_at_stream_end(&self, cx: &Context<'_>) {
        let _ = cx;
    }

    /// Ready when [`Self::max_concurrent_streams`] is another than `seen`. One task at a time is woken.
    fn poll_max_concurrent_streams(&self, seen: usize, cx: &Context<'_>) -> Poll<usize> {
        let _ = (seen, cx);
        Poll::Pending
    }
}
