//! An endpoint that is always READY and answers at once: what is left of a call is the layers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_core::{
    Address, Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream,
    Outcome, Report,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;

/// Reads its request, answers one message and OK in the trailers.
#[derive(Debug)]
pub struct NoOp {
    endpoint: Arc<Endpoint>,
    reported: bool,
}

impl NoOp {
    /// The endpoint at a port of 127.0.0.1, which nobody dials.
    #[must_use]
    pub fn new(port: u16) -> Self {
        let address = Address::Ip(([127, 0, 0, 1], port).into());
        Self {
            endpoint: Arc::new(Endpoint::new(address)),
            reported: false,
        }
    }
}

impl Clone for NoOp {
    fn clone(&self) -> Self {
        // A clone's reports start from the present one.
        Self {
            endpoint: self.endpoint.clone(),
            reported: false,
        }
    }
}

impl<B: Body + Unpin> Service<Request<B>> for NoOp {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Answer>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut body = request.into_body();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(_)) = Pin::new(&mut body).poll_frame(&mut cx) {}
        ready(Ok(Response::new(Answer { frames: 0 })))
    }
}

impl Connectivity for NoOp {
    type Sender = Self;
    type Admission = ();

    fn admit(&self, _: Admit) -> Result<(Self, ()), BoxError> {
        Ok((self.clone(), ()))
    }

    fn settle(&self, (): (), _: Outcome, _: &str) {}

    fn poll_report(&mut self, _: &mut Context<'_>) -> Poll<Option<Report>> {
        if std::mem::replace(&mut self.reported, true) {
            return Poll::Pending;
        }
        let report = Report::new(self.endpoint.clone(), ConnectivityState::Ready);
        Poll::Ready(Some(report))
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}

    fn stream_load(&self, _: Option<&LoadStream>, _: &Arc<EndpointStats>) {}

    fn check_health(&self, _: Option<&Arc<str>>) {}

    fn allow_connections(&self, _: u32) {}
}

/// The body of an answer.
#[derive(Debug)]
pub struct Answer {
    frames: u8,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames += 1;
        Poll::Ready(match self.frames {
            1 => Some(Ok(Frame::data(Bytes::from_static(&[0; 69])))),
            2 => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            _ => None,
        })
    }
}
