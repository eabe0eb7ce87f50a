use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_core::error::BoxError;
use evenkeel_core::observe::ObservedBody;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;

use super::ticket::BreakerTicket;

pin_project! {
    /// A response body that tells the breaker how it ended.
    pub struct ResponseBody<B> {
        #[pin]
        inner: ObservedBody<B, BreakerTicket>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) const fn new(inner: ObservedBody<B, BreakerTicket>) -> Self {
        Self { inner }
    }
}

impl<B> Body for ResponseBody<B>
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
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("breaker::ResponseBody")
            .field(&self.inner)
            .finish()
    }
}
