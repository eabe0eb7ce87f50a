use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, StreamExt, unfold};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::incarnation::Setup;
use super::script::scripted;

/// The one method of the service that it has.
pub(super) const METHOD: &str = "/grpc.health.v1.Health/Watch";

/// What a server says of the health of one of its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests choose, they never match")]
pub enum Health {
    /// `SERVING`.
    Serving,
    /// `NOT_SERVING`.
    NotServing,
    /// `UNKNOWN`.
    Unknown,
    /// `SERVICE_UNKNOWN`: as of a service that it has never been told of.
    ServiceUnknown,
    /// Nothing, and the stream stays open.
    Silent,
    /// Nothing, and the stream ends with this.
    Fail(Code),
}

impl Health {
    /// The number of its status, or how the stream ends.
    fn answer(self) -> Option<Result<i32, Code>> {
        match self {
            Self::Unknown => Some(Ok(0)),
            Self::Serving => Some(Ok(1)),
            Self::NotServing => Some(Ok(2)),
            Self::ServiceUnknown => Some(Ok(3)),
            Self::Silent => None,
            Self::Fail(code) => Some(Err(code)),
        }
    }
}

/// `grpc.health.v1.Health`, of which it has `Watch`.
#[derive(Clone, Debug)]
pub(super) struct HealthService(pub(super) Arc<Setup>);

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A stream that is open.
struct Open(Arc<Setup>);

impl Open {
    fn begin(setup: Arc<Setup>, service: &str) -> Self {
        setup.counters.count(|seen| {
            seen.open_health_streams += 1;
            seen.health_service = Some(service.to_owned());
        });
        Self(setup)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.count(|seen| seen.open_health_streams -= 1);
    }
}

impl ServerStreamingService<HealthCheckRequest> for HealthService {
    type Response = HealthCheckResponse;
    type ResponseStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let service = request.into_inner().service;
        let open = Open::begin(self.0.clone(), &service);
        let mut healths = self.0.script.healths();
        healths.mark_changed();
        let answers = unfold(
            (healths, None, Some(open)),
            move |(mut healths, mut said, open)| {
                let service = service.clone();
                async move {
                    let open = open?;
                    loop {
                        healths.changed().await.ok()?;
                        let known = healths.borrow_and_update().get(&service).copied();
                        let health = known.unwrap_or(Health::ServiceUnknown);
                        if said.replace(health) == Some(health) {
                            continue;
                        }
                        match health.answer() {
                            None => {}
                            Some(Ok(status)) => {
                                let answer = Ok(HealthCheckResponse { status });
                                return Some((answer, (healths, said, Some(open))));
                            }
                            Some(Err(code)) => {
                                return Some((Err(scripted(code)), (healths, said, None)));
                            }
                        }
                    }
                }
            },
        );
        async move { Ok(Response::new(answers.boxed())) }.boxed()
    }
}

impl NamedService for HealthService {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl Service<http::Request<Body>> for HealthService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move {
            if request.uri().path() != METHOD {
                let unknown = Status::unimplemented("it has Watch only");
                return Ok(unknown.into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.server_streaming(service, request).await)
        }
        .boxed()
    }
}
