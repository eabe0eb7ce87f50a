use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::observe::grpc_status;
use evenkeel_policy::throttle::Throttle;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::{Code, Status};

use crate::deadline::Expiry;
use crate::limits::{Cut, ResponseLimit};

pin_project! {
    /// The response body of a call that has a deadline, may be retried, or both.
    ///
    /// It ends before a message that is longer than the call's limit, with RESOURCE_EXHAUSTED, and at
    /// the call's deadline: its last frame is then a DEADLINE_EXCEEDED, and what it reads
    /// from is dropped. A first message that is there when it is asked for still comes. On a channel
    /// with a retry throttle it counts the call's success.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        // `None`: ending the call is someone else's business.
        expiry: Option<Expiry>,
        // `None`: there is none, or nothing left to count.
        throttle: Option<Arc<Throttle>>,
        // `None`: nothing is limited.
        limit: Option<Box<ResponseLimit>>,
        // In a box, because a response is moved often, and most never wait.
        timer: Option<Pin<Box<Sleep>>>,
        has_begun: bool,
    }
}

impl<B> ResponseBody<B> {
    #[inline]
    pub(crate) const fn new(
        inner: B,
        expiry: Option<Expiry>,
        throttle: Option<Arc<Throttle>>,
        limit: Option<Box<ResponseLimit>>,
    ) -> Self {
        Self {
            inner: Some(inner),
            expiry,
            throttle,
            limit,
            timer: None,
            has_begun: false,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Status;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(this.limit.as_mut().and_then(|it| it.take_end()).map(Err));
        };
        let mut polled = inner.poll_frame(cx);
        if let Some(limit) = this.limit {
            polled = match limit.check(polled, cx) {
                Ok(polled) => polled,
                Err(Cut(before)) => {
                    // The stream is reset now, not when the caller has read what is left.
                    this.inner.set(None);
                    if !before.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(before))));
                    }
                    return Poll::Ready(limit.take_end().map(Err));
                }
            };
        }
        let ends = this.expiry.as_ref().is_some_and(Expiry::exists);
        let status = match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let watched = ends || this.throttle.is_some();
                if !watched
                    || !is_late(
                        frame.trailers_ref(),
                        this.expiry,
                        this.throttle,
                        this.has_begun,
                    )
                {
                    return Poll::Ready(Some(Ok(frame)));
                }
                exceeded(this.expiry, this.inner.as_mut())
            }
            Poll::Ready(Some(Err(error))) => failed(error.into(), this.expiry),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if !ends => return Poll::Pending,
            Poll::Pending => {
                if let Some(expiry) = this.expiry {
                    ready!(expiry.poll_boxed(this.timer, cx));
                }
                exceeded(this.expiry, this.inner.as_mut())
            }
        };
        this.inner.set(None);
        Poll::Ready(Some(Err(status)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => !self.limit.as_ref().is_some_and(|it| it.has_end()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Looks at a frame that has come, with the trailers that it may have: counts a success, and says
/// whether it has come too late.
fn is_late(
    trailers: Option<&HeaderMap>,
    expiry: &Option<Expiry>,
    throttle: &mut Option<Arc<Throttle>>,
    has_begun: &mut bool,
) -> bool {
    match trailers {
        // A stream that always has a frame ready never comes to the timer. Only the first, which
        // most calls have alone, comes right after the head.
        None => mem::replace(has_begun, true) && expiry.as_ref().is_some_and(Expiry::is_over),
        Some(trailers) => {
            let Some(code) = grpc_status(trailers) else {
                return false;
            };
            let throttle = throttle.take().filter(|_| code == Code::Ok);
            if let Some(throttle) = throttle {
                throttle.on_success();
            }
            expiry.as_ref().is_some_and(|expiry| expiry.explains(code))
        }
    }
}

#[cold]
fn exceeded<B>(expiry: &Option<Expiry>, mut inner: Pin<&mut Option<B>>) -> Status {
    let expiry = expiry.as_ref();
    let expiry = expiry.expect("only a call that has a deadline exceeds it");
    expiry.exceeded_by("the response was not complete", || inner.set(None))
}

#[cold]
fn failed(error: BoxError, expiry: &Option<Expiry>) -> Status {
    let status = into_status(error);
    match expiry {
        Some(expiry) => expiry.status(status),
        None => status,
    }
}

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", &self.inner)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}
