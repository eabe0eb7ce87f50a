use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use super::{Guard, Ticket, grpc_status};
use crate::error::{BoxError, into_status};

pin_project! {
    /// A response body that settles its ticket at the trailers.
    pub struct ObservedBody<B, T: Ticket> {
        #[pin]
        inner: B,
        guard: Guard<T>,
    }
}

impl<B, T: Ticket> ObservedBody<B, T> {
    pub(super) const fn new(inner: B, guard: Guard<T>) -> Self {
        Self { inner, guard }
    }
}

impl<B, T> Body for ObservedBody<B, T>
where
    B: Body,
    B::Error: Into<BoxError>,
    T: Ticket,
{
    type Data = B::Data;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Status>>> {
        let this = self.project();
        let frame = match ready!(this.inner.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let status = into_status(error.into());
                this.guard.fail(&status);
                return Poll::Ready(Some(Err(status)));
            }
            None => {
                this.guard.settle(Code::Unknown.into());
                return Poll::Ready(None);
            }
        };
        if this.guard.ticket().is_some()
            && let Some(trailers) = frame.trailers_ref()
        {
            let code = grpc_status(trailers).unwrap_or(Code::Unknown);
            this.guard.settle_by(trailers, code);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, T: Ticket> fmt::Debug for ObservedBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
