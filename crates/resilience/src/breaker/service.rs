use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::error::{AttemptError, BoxError, into_status};
use evenkeel_core::{Admit, Deadline};
use http::{Request, Response};
use http_body::Body;
use tonic::{Code, Status};
use tower_service::Service;

use super::connectivity::View;
use super::shared::Shared;
use super::ticket::BreakerTicket;
use super::{BreakerHandle, ResponseBody, ResponseFuture};

/// A service behind a breaker; see the [module](super).
///
/// # Clone
///
/// Clones share the breaker.
#[derive(Debug)]
pub struct Breaker<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
    /// Made when somebody asks for reports.
    pub(super) view: Option<Box<View>>,
}

impl<S> Breaker<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self {
            inner,
            shared,
            view: None,
        }
    }

    /// A handle on the breaker.
    #[must_use]
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: Clone> Clone for Breaker<S> {
    fn clone(&self) -> Self {
        // A clone's reports start from the present one.
        Self::new(self.inner.clone(), Arc::clone(&self.shared))
    }
}

impl<S, B, R> Service<Request<B>> for Breaker<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Send + 'static,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Status;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // An open breaker is temporary, so `call` says so: an error here is final.
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let admission = match self.shared.admit(Admit::Normally) {
            Ok(admission) => admission,
            Err(open) => {
                let error = AttemptError::unsent(request, open);
                return ResponseFuture::refused(error.into_status(Code::Unavailable));
            }
        };
        let deadline = request.extensions().get().map(|Deadline(at)| *at);
        let ticket = BreakerTicket::new(Arc::clone(&self.shared), admission, deadline);
        ResponseFuture::sent(self.inner.call(request), ticket)
    }
}
