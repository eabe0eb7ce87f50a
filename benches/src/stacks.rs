//! Evenkeel's layers over [`NoOp`] endpoints: each alone, and all of them as a channel has them.

use std::convert::Infallible;
use std::fmt;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::{
    BalanceLayer, BreakerConfig, BreakerLayer, DeadlineLayer, EndpointLayer, RetryLayer,
    ServiceConfig,
};
use evenkeel_core::ConnectivityState;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use http_body_util::Full;
use tonic::GrpcMethod;
use tower::ServiceBuilder;
use tower::discover::Change;
use tower_service::Service;

use crate::endpoint::NoOp;
use crate::results::Layer;
use crate::stats::Spread;
use crate::{alloc, cpu};

/// What is measured: a call through some layers.
pub struct Stack {
    /// The layers.
    pub name: &'static str,
    /// Makes one call and reads its response to the end.
    pub call: Box<dyn FnMut()>,
    /// The size of a call's future.
    pub future_bytes: usize,
}

const ENDPOINTS: u16 = 4;
const ROUNDS: usize = 101;
/// In each round.
const CALLS: u64 = 1_000;

/// Times the stacks in interleaved rounds, and counts what they allocate. In CPU time, not on the
/// wall: what other programs take of the core does not count.
pub fn measure(stacks: &mut [Stack]) -> Vec<Layer> {
    let mut rounds = Vec::new();
    // The first warms up.
    for _ in 0..=ROUNDS {
        let ns = |stack: &mut Stack| stack.time(CALLS).as_nanos() as f64 / CALLS as f64;
        rounds.push(stacks.iter_mut().map(ns).collect::<Vec<_>>());
    }
    let rounds = &rounds[1..];
    let median = |values: &mut dyn Iterator<Item = f64>| {
        Spread::of(values).map_or(f64::NAN, |spread| spread.median)
    };
    let layers = stacks.iter_mut().enumerate().map(|(place, stack)| {
        let ((), counted) = alloc::during(&mut *stack.call);
        Layer {
            name: stack.name.to_owned(),
            ns: median(&mut rounds.iter().map(|round| round[place])),
            added_ns: median(&mut rounds.iter().map(|round| round[place] - round[0])),
            instructions: None,
            allocations: counted.count,
            allocated_bytes: counted.bytes,
            future_bytes: stack.future_bytes,
        }
    });
    layers.collect()
}

fn config(timeout: &str) -> ServiceConfig {
    let json = format!(
        r#"{{"loadBalancingConfig":[{{"round_robin":{{}}}}],
            "methodConfig":[{{"name":[{{"service":"UserService"}}],{timeout}
            "retryPolicy":{{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s",
                "backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}}}}]}}"#
    );
    ServiceConfig::parse(&json).expect("the config is ours")
}

/// All stacks, ready; the first is the endpoint itself. They must be called within `runtime`.
#[must_use]
pub fn all(runtime: &tokio::runtime::Runtime) -> Vec<Stack> {
    let config_now = config("");
    let config_timed = config(r#""timeout":"1s","#);
    let breaker = || BreakerLayer::new(BreakerConfig::default());

    let balance = runtime.block_on(async {
        let balance = ServiceBuilder::new()
            .layer(BalanceLayer::new(&config_now))
            .service(discover());
        ready(&balance).await;
        balance
    });
    let guarded = runtime.block_on(async {
        let balance = ServiceBuilder::new()
            .layer(BalanceLayer::new(&config_now))
            .layer(EndpointLayer::new(breaker()))
            .service(discover());
        ready(&balance).await;
        balance
    });
    let whole = |config: &ServiceConfig| {
        ServiceBuilder::new()
            .layer(RetryLayer::new(config).with_deadline(DeadlineLayer::new(config)))
            .service(guarded.clone())
    };

    let over = ServiceBuilder::new;
    vec![
        stack("endpoint alone", NoOp::new(1)),
        stack(
            "Deadline, none set",
            over()
                .layer(DeadlineLayer::new(&config_now))
                .service(NoOp::new(1)),
        ),
        stack(
            "Deadline, 1 s",
            over()
                .layer(DeadlineLayer::new(&config_timed))
                .service(NoOp::new(1)),
        ),
        stack(
            "Retry",
            over()
                .layer(RetryLayer::new(&config_now))
                .service(NoOp::new(1)),
        ),
        stack("Balance", balance),
        stack("Breaker", over().layer(breaker()).service(NoOp::new(1))),
        stack("all, no deadline set", whole(&config_now)),
        stack("all, deadline 1 s", whole(&config_timed)),
    ]
}

fn discover() -> impl Stream<Item = Result<Change<u16, NoOp>, Infallible>> + Unpin + Send + 'static
{
    let endpoints = (1..=ENDPOINTS).map(|port| Ok(Change::Insert(port, NoOp::new(port))));
    stream::iter(endpoints).chain(stream::pending())
}

async fn ready<S>(balance: &evenkeel_balance::Balance<S>)
where
    S: evenkeel_core::Connectivity + Clone + Unpin + Send + Sync + 'static,
{
    loop {
        let changed = balance.changed();
        let reports = balance.endpoints();
        let ready = |report: &evenkeel::EndpointReport| report.state == ConnectivityState::Ready;
        if reports.len() == usize::from(ENDPOINTS) && reports.iter().all(ready) {
            return;
        }
        changed.await;
    }
}

fn stack<S, R>(name: &'static str, mut service: S) -> Stack
where
    S: Service<Request<tonic::body::Body>, Response = Response<R>, Error: fmt::Debug> + 'static,
    R: Body<Error: fmt::Debug>,
{
    let mut one = move || {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else {
            panic!("{name} is not ready");
        };
        let future = service.call(request());
        let bytes = size_of_val(&future);
        let Poll::Ready(response) = pin!(future).poll(&mut cx) else {
            panic!("{name} does not answer at once");
        };
        let response = response.expect("the endpoint never fails");
        let mut body = pin!(response.into_body());
        let mut frames = 0;
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            frame.expect("the endpoint never fails");
            frames += 1;
        }
        assert_eq!(frames, 2, "a message and trailers");
        bytes
    };
    let future_bytes = one();
    let call = Box::new(move || {
        one();
    });
    Stack {
        name,
        call,
        future_bytes,
    }
}

/// A request as tonic's stubs make it.
fn request() -> Request<tonic::body::Body> {
    let message = Full::new(Bytes::from_static(&[0; 69]));
    let mut request = Request::post(Uri::from_static("/UserService/GetById"))
        .body(tonic::body::Body::new(message))
        .expect("a method and a path");
    let headers = request.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, grpc);
    let extensions = request.extensions_mut();
    extensions.insert(GrpcMethod::new("UserService", "GetById"));
    request
}

impl Stack {
    /// What so many calls take of the core.
    pub fn time(&mut self, calls: u64) -> Duration {
        let begin = cpu::of_thread();
        for _ in 0..calls {
            black_box(&mut self.call)();
        }
        cpu::of_thread() - begin
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
