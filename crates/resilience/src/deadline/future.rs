use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::observe::head_status;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;

use super::expiry::{Expiry, NO_RESPONSE, NO_TIME};
use crate::ResponseBody;

pin_project! {
    /// The response of a call that ends at its deadline.
    pub struct ResponseFuture<F> {
        // `None`: over, and dropped.
        #[pin]
        inner: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        expiry: Expiry,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F, expiry: Expiry) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            expiry,
        }
    }

    #[cold]
    pub(super) const fn expired(expiry: Expiry) -> Self {
        Self {
            inner: None,
            timer: None,
            expiry,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<R>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(this.expiry.exceeded(NO_TIME)));
        };
        // The call goes first: what it waits for in vain is known there.
        match inner.poll(cx) {
            Poll::Ready(Ok(response)) => {
                if this.expiry.exists()
                    && head_status(&response).is_some_and(|code| this.expiry.explains(code))
                {
                    return Poll::Ready(Err(this.expiry.exceeded("the server gave up")));
                }
                let expiry = mem::take(this.expiry);
                Poll::Ready(Ok(
                    response.map(|body| ResponseBody::new(body, Some(expiry), None, None))
                ))
            }
            Poll::Ready(Err(error)) => {
                Poll::Ready(Err(this.expiry.status(into_status(error.into()))))
            }
            Poll::Pending => {
                ready!(this.expiry.poll(this.timer, cx));
                let mut inner = this.inner;
                Poll::Ready(Err(this
                    .expiry
                    .exceeded_by(NO_RESPONSE, || inner.set(None))))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("deadline::ResponseFuture")
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}
