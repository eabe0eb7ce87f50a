use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::BoxError;
use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

/// Turns any request body into [`tonic::body::Body`], which is all that tonic's own channel
/// takes; one allocation per request. The innermost layer around a plain tonic channel:
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

impl<S, B> Service<Request<B>> for TonicBody<S>
where
    S: Service<Request<tonic::body::Body>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.inner.call(request.map(tonic::body::Body::new))
    }
}
