use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::{Deadline as DeadlineAt, WaitForReady, headers};
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::Status;
use tower_service::Service;

use super::expiry::Expiry;
use super::lookup::Lookup;
use super::{DeadlineBody, ResponseFuture};
use crate::methods::Methods;
use crate::timeout::{self, GRPC_TIMEOUT};

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
    pub(super) const fn new(inner: S, methods: Methods<Duration>) -> Self {
        Self {
            inner,
            lookup: Lookup::new(methods),
        }
    }

    /// The service whose calls end at their deadline.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Finds the call's deadline and writes it into the request.
    ///
    /// # Errors
    ///
    /// The time is over before it has begun.
    fn prepare<B>(&mut self, request: &mut Request<B>) -> Result<Expiry, Expiry> {
        let settings = self.lookup.find(request.uri());
        let configured = settings.timeout.as_ref();
        if settings.wait_for_ready == Some(true)
            && request.extensions().get::<WaitForReady>().is_none()
        {
            request.extensions_mut().insert(WaitForReady(true));
        }
        let asked = headers::get(request.headers(), &GRPC_TIMEOUT).and_then(timeout::decode);
        let earlier = request.extensions().get::<DeadlineAt>().copied();
        if configured.is_none() && asked.is_none() && earlier.is_none() {
            return Ok(Expiry::never(request.uri()));
        }

        let now = Instant::now();
        let left =
            earlier.map(|DeadlineAt(at)| Instant::from_std(at).saturating_duration_since(now));
        let configured_for = configured.map(|timeout| timeout.duration);
        let shortest = [configured_for, asked, left].into_iter().flatten().min();
        // What does not fit into an Instant lasts longer than the process.
        let at = shortest.and_then(|timeout| now.checked_add(timeout));
        let (Some(timeout), Some(at)) = (shortest, at) else {
            return Ok(Expiry::never(request.uri()));
        };
        if timeout.is_zero() {
            return Err(Expiry::at(at, request.uri()));
        }
        if earlier.is_none_or(|DeadlineAt(earlier)| at.into_std() < earlier) {
            request.extensions_mut().insert(DeadlineAt(at.into_std()));
        }
        if asked != Some(timeout) {
            let header = match configured {
                Some(configured) if configured.duration == timeout => configured.header.clone(),
                _ => timeout::encode(timeout),
            };
            request.headers_mut().insert(&GRPC_TIMEOUT, header);
        }
        Ok(Expiry::at(at, request.uri()))
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<R>>;
    type Error = Status;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.prepare(&mut request) {
            Ok(expiry) => ResponseFuture::new(self.inner.call(request), expiry),
            Err(expiry) => ResponseFuture::expired(expiry),
        }
    }
}
