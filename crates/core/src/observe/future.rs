use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{Guard, ObservedBody, Ticket};
use crate::error::{BoxError, into_status};
use tonic::Status;

pin_project! {
    /// A response future that carries a ticket into the response's body.
    pub struct ObservedFuture<F, T: Ticket> {
        #[pin]
        inner: F,
        guard: Guard<T>,
    }
}

impl<F, T: Ticket> ObservedFuture<F, T> {
    /// Settles `ticket` when the response of `inner` has ended.
    pub const fn new(inner: F, ticket: T) -> Self {
        Self {
            inner,
            guard: Guard::new(ticket),
        }
    }
}

impl<F, B, E, T> Future for ObservedFuture<F, T>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<BoxError>,
    T: Ticket,
{
    type Output = Result<Response<ObservedBody<B, T>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.inner.poll(cx)) {
            Ok(response) => Poll::Ready(Ok(this.guard.watch(response))),
            Err(error) => {
                let status = into_status(error.into());
                this.guard.fail(&status);
                Poll::Ready(Err(status))
            }
        }
    }
}

impl<F, T: Ticket> fmt::Debug for ObservedFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedFuture").finish_non_exhaustive()
    }
}
