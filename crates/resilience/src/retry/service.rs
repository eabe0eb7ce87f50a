use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_policy::retry::RetryPolicy;
use evenkeel_policy::throttle::Throttle;
use http::{Request, Response};
use http_body::Body;
use tonic::Status;
use tower_service::Service;

use super::call::Call;
use super::replay::Budget;
use super::{ReplayBody, ResponseBody, ResponseFuture, RetryConfig};
use crate::methods::Methods;

/// A service that tries failed calls again; see the [module](super).
///
/// # Clone
///
/// Clones share the throttle and the buffer budget; each call clones the inner service.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    pub(super) inner: S,
    pub(super) methods: Methods<RetryPolicy>,
    pub(super) throttle: Option<Arc<Throttle>>,
    pub(super) config: RetryConfig,
    pub(super) budget: Arc<Budget>,
}

impl<S> Retry<S> {
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
        let policy = match self.config.enabled {
            true => self.methods.retry_policy(request.uri().path()).cloned(),
            false => None,
        };
        let limits = (self.config.call_buffer, &self.budget);
        let (call, first) = match Call::start(request, policy, self.throttle.clone(), limits) {
            Ok(started) => started,
            Err(status) => return ResponseFuture::failed(self.inner.clone(), status),
        };
        // The ready one serves this call, first and last attempt alike.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let attempt = inner.call(first);
        ResponseFuture::new(inner, call, attempt)
    }
}
