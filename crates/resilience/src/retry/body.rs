use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::Outcome;
use evenkeel_core::error::BoxError;
use evenkeel_core::observe::{Guard, ObservedBody, Ticket};
use evenkeel_policy::throttle::Throttle;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;

pin_project! {
    /// The response body of a call; on a channel with a throttle it counts the call's success.
    pub struct ResponseBody<B> {
        #[pin]
        inner: ObservedBody<B, Success>,
    }
}

/// Counts a call that ends well.
struct Success(Arc<Throttle>);

impl Ticket for Success {
    fn settle(self, outcome: Outcome) {
        if outcome == Outcome::Success {
            self.0.on_success();
        }
    }
}

impl<B> ResponseBody<B> {
    /// Counts a success that the head of `response` tells (Trailers-Only), else carries the throttle
    /// into its body. Without a throttle, nothing is read.
    #[inline]
    pub(super) fn watch(throttle: Option<Arc<Throttle>>, response: Response<B>) -> Response<Self> {
        let mut guard =
            throttle.map_or_else(Guard::empty, |throttle| Guard::new(Success(throttle)));
        guard.watch(response).map(|inner| Self { inner })
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
        f.debug_tuple("retry::ResponseBody")
            .field(&self.inner)
            .finish()
    }
}
