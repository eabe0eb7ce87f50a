use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::{Request, Response};
use http_body::Body;
use tonic::Status;
use tower_service::Service;

use super::call::Call;
use super::head::Head;
use super::layer::Shared;
use super::replay::read_upfront;
use super::source::Source;
use super::{ReplayBody, ResponseFuture};
use crate::ResponseBody;
use crate::deadline::{Expiry, Lookup, NO_TIME, Over};

/// A service that tries failed calls again; see the [module](super).
///
/// # Clone
///
/// Clones share the throttle and the buffer budget; a call that is tried again clones the inner
/// service.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    pub(super) shared: Arc<Shared<S>>,
    /// `None`: someone else ends calls.
    deadlines: Option<Lookup>,
}

impl<S> Retry<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared<S>>, deadlines: Option<Lookup>) -> Self {
        Self {
            inner,
            shared,
            deadlines,
        }
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

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (mut head, mut noted) = Head::note(&request);
        let at = match &mut self.deadlines {
            Some(lookup) => match lookup.apply(&mut request, &mut noted.terms) {
                Ok(at) => at,
                Err(Over(at)) => {
                    let expiry = Expiry::new(Some(at), request.uri());
                    return ResponseFuture::failed(expiry.exceeded(NO_TIME));
                }
            },
            None => noted.terms.end(),
        };
        head.complete(&request, &noted, at);
        let expiry = Expiry::new(at, request.uri());
        let ends = self.deadlines.is_some();
        let upfront = match read_upfront(request.body_mut()) {
            Ok(upfront) => upfront,
            Err(status) if ends => return ResponseFuture::failed(expiry.status(status)),
            Err(status) => return ResponseFuture::failed(status),
        };
        let mut source = None;
        let request = request.map(|body| {
            let (first, rest) = Source::split(body, upfront, &self.shared.settings);
            source = rest;
            first
        });
        // The ready one serves the first attempt; a clone gets ready for each further one.
        let attempt = self.inner.call(request);
        let call = Call {
            shared: Arc::clone(&self.shared),
            expiry,
            ends,
            head,
            source,
            failures: None,
        };
        ResponseFuture::new(call, attempt)
    }
}
