mod failure;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

/// Fits the layers of this crate to a plain tonic channel; the innermost one.
///
/// Turns any request body into [`tonic::body::Body`], which is all that tonic's channel takes, at
/// one allocation per request. And puts its errors right, which are CANCELLED or UNKNOWN when a
/// connection is lost: they become UNAVAILABLE, with an
/// [`AttemptError`](evenkeel_core::error::AttemptError) that says how far the attempt got, so that
/// what never left, or was refused, is tried again.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_policy::retry::{CodeSet, RetryPolicy};
/// use evenkeel_resilience::{DeadlineLayer, RetryLayer, TonicBodyLayer};
/// use tonic::{Code, transport::Endpoint};
/// use tower::ServiceBuilder;
///
/// let policy = RetryPolicy::new(
///     4,
///     Duration::from_millis(10),
///     Duration::from_millis(100),
///     2.0,
///     CodeSet::of(&[Code::Unavailable]),
/// );
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let channel = ServiceBuilder::new()
///     .layer(DeadlineLayer::for_all(Duration::from_secs(2)))
///     .layer(RetryLayer::for_all(policy))
///     .layer(TonicBodyLayer)
///     .service(Endpoint::from_static("http://127.0.0.1:8090").connect_lazy());
/// # let _client = tonic::client::Grpc::new(channel);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to choose")]
pub struct TonicBodyLayer;

impl<S> Layer<S> for TonicBodyLayer {
    type Service = TonicBody<S>;

    fn layer(&self, inner: S) -> TonicBody<S> {
        TonicBody { inner }
    }
}

/// A service that takes any body; see [`TonicBodyLayer`].
///
/// # Clone
///
/// As the inner service.
#[derive(Clone, Debug)]
pub struct TonicBody<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for TonicBody<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = TonicBodyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| into_status(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.call(request.map(tonic::body::Body::new));
        TonicBodyFuture { inner }
    }
}

pin_project! {
    /// The response of a [`TonicBody`].
    pub struct TonicBodyFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, R, E> Future for TonicBodyFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<R>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = self.project().inner.poll(cx);
        result.map_err(|error| failure::status(error.into()))
    }
}

impl<F> fmt::Debug for TonicBodyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TonicBodyFuture").finish_non_exhaustive()
    }
}
