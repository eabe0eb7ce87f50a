//! What deadline and retry add to a unary call that goes well, in allocations.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test; the lints' own exception does not reach integration tests"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_resilience::{BreakerConfig, BreakerLayer, DeadlineLayer, RetryLayer};
use evenkeel_service_config::ServiceConfig;
use evenkeel_testkit::alloc;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tonic::codegen::Service;
use tower::ServiceBuilder;

/// Reads its request and answers with an empty message, at once.
#[derive(Clone)]
struct NoOp;

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

struct Answer {
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
            1 => Some(Ok(Frame::data(Bytes::from_static(&[0; 5])))),
            2 => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            _ => None,
        })
    }
}

/// The allocations of a call through the generated stub.
macro_rules! allocations {
    ($service:expr) => {{
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let mut client = UserServiceClient::new($service);
        let mut call = || {
            let request = GetByIdRequest::default();
            let response = client.get_by_id(request).now_or_never();
            response.expect("nothing waits").unwrap();
        };
        call();
        alloc::during(call).count_total
    }};
}

fn config(method: &str) -> ServiceConfig {
    let json = format!(r#"{{"methodConfig":[{{"name":[{{"service":"UserService"}}],{method}}}]}}"#);
    ServiceConfig::parse(&json).unwrap()
}

const RETRY: &str = r#""retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s",
    "backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}"#;

#[test]
fn a_call_that_goes_well_pays_for_its_deadline_and_nothing_else() {
    let alone = allocations!(NoOp);
    for (config, added, why) in [
        (
            ServiceConfig::default(),
            0,
            "ordinary headers are not copied",
        ),
        (
            config(RETRY),
            0,
            "a policy costs nothing before it is needed",
        ),
        (
            config(&format!(r#"{RETRY},"timeout":"1s""#)),
            1,
            "the extension; the header of a configured timeout is prepared",
        ),
    ] {
        let layered = allocations!(
            ServiceBuilder::new()
                .layer(DeadlineLayer::new(&config))
                .layer(RetryLayer::new(&config))
                .layer(BreakerLayer::new(BreakerConfig::default()))
                .service(NoOp)
        );
        assert_eq!(layered - alone, added, "{why}");
    }
}

#[test]
fn deadline_and_breaker_alone_allocate_nothing_for_a_call_without_a_deadline() {
    let config = ServiceConfig::default();
    let all = BreakerConfig {
        consecutive_failures: 5,
        adaptive: BreakerConfig::aegis().adaptive,
        ..BreakerConfig::ratio(0.5)
    };
    for breaker in [
        BreakerConfig::default(),
        BreakerConfig::ratio(0.5),
        BreakerConfig::adaptive(),
        all,
    ] {
        let layered = allocations!(
            ServiceBuilder::new()
                .layer(DeadlineLayer::new(&config))
                .layer(BreakerLayer::new(breaker))
                .service(NoOp)
        );
        assert_eq!(layered, allocations!(NoOp), "{breaker:?}");
    }
}
