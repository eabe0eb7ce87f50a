use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evenkeel_core::error::BoxError;
use evenkeel_core::observe::grpc_status;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;

use super::expiry::Expiry;

pin_project! {
    /// A response body that ends at the call's deadline: its last frame is then a
    /// DEADLINE_EXCEEDED, and what it reads from is dropped. A first message that is there when it
    /// is asked for still comes.
    pub struct DeadlineBody<B> {
        #[pin]
        inner: Option<B>,
        expiry: Expiry,
        // In a box, because a response is moved often, and most never wait.
        timer: Option<Pin<Box<Sleep>>>,
        has_begun: bool,
    }
}

impl<B> DeadlineBody<B> {
    pub(super) const fn new(inner: B, expiry: Expiry) -> Self {
        Self {
            inner: Some(inner),
            expiry,
            timer: None,
            has_begun: false,
        }
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Status>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let status = match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let late = this.expiry.exists()
                    && match frame.trailers_ref() {
                        Some(trailers) => {
                            grpc_status(trailers).is_some_and(|code| this.expiry.explains(code))
                        }
                        // A stream that always has a frame ready never comes to the timer. Only
                        // the first, which most calls have alone, comes right after the head.
                        None => mem::replace(this.has_begun, true) && this.expiry.is_over(),
                    };
                if !late {
                    return Poll::Ready(Some(Ok(frame)));
                }
                this.expiry.exceeded("the response was not complete")
            }
            Poll::Ready(Some(Err(error))) => this.expiry.status(error.into()),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(this.expiry.poll_boxed(this.timer, cx));
                this.expiry.exceeded("the response was not complete")
            }
        };
        this.inner.set(None);
        Poll::Ready(Some(Err(status)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: fmt::Debug> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody")
            .field("inner", &self.inner)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}
