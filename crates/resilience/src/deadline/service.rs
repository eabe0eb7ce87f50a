use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::{Request, Response};
use http_body::Body;
use tonic::Status;
use tower_service::Service;

use super::ResponseFuture;
use super::expiry::Expiry;
use super::terms::{Over, Terms};
use crate::ResponseBody;
use crate::lookup::Lookup;

/// A service whose calls end at their deadline; see the [module](super).
///
/// # Clone
///
/// As cheap as the inner service; clones share nothing of their own.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    lookup: Lookup,
}

impl<S> Deadline<S> {
    pub(super) const fn new(inner: S, lookup: Lookup) -> Self {
        Self { inner, lookup }
    }

    /// The service whose calls end at their deadline.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Status;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut terms = Terms::of(&request);
        let method = Arc::clone(self.lookup.find(request.uri()));
        match method.apply(&mut request, &mut terms) {
            Ok(at) => {
                let expiry = Expiry::new(at, method);
                ResponseFuture::new(self.inner.call(request), expiry)
            }
            Err(Over(at)) => ResponseFuture::expired(Expiry::new(Some(at), method)),
        }
    }
}
