use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::incarnation::Setup;

/// Notes the head of each request.
#[derive(Clone, Debug)]
pub(super) struct RecordLayer(pub(super) Arc<Setup>);

#[derive(Clone, Debug)]
pub(super) struct Record<S> {
    inner: S,
    setup: Arc<Setup>,
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record {
            inner,
            setup: self.0.clone(),
        }
    }
}

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for Record<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        let (head, body) = request.into_parts();
        self.setup.counters.request(&head);
        self.inner.call(http::Request::from_parts(head, body))
    }
}
