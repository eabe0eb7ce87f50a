use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::{Request, Response};
use http_body::Body;
use tonic::Status;
use tower_service::Service;

use super::call::Call;
use super::layer::Shared;
use super::replay::read_upfront;
use super::{ReplayBody, ResponseBody, ResponseFuture};

/// A service that tries failed calls again; see the [module](super).
///
/// # Clone
///
/// Clones share the throttle and the buffer budget; each call clones the inner service.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    pub(super) shared: Arc<Shared>,
}

impl<S> Retry<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service that each attempt goes to.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Status;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, mut body) = request.into_parts();
        let upfront = match read_upfront(&mut body) {
            Ok(upfront) => upfront,
            Err(status) => return ResponseFuture::failed(self.inner.clone(), status),
        };
        let (call, first) = Call::start(&parts, body, upfront, &self.shared);
        // The ready one serves the first attempt; a clone gets ready for each further one.
        let attempt = self.inner.call(Request::from_parts(parts, first));
        ResponseFuture::new(self.inner.clone(), call, attempt)
    }
}
