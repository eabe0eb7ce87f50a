use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::Outcome;
use evenkeel_core::observe::{Guard, Ticket};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use tokio::sync::watch;
use tonic::Code;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::Ended;

static INITIAL: HeaderName = HeaderName::from_static("x-grpc-test-echo-initial");
static TRAILING: HeaderName = HeaderName::from_static("x-grpc-test-echo-trailing-bin");

/// Echoes metadata, and notes how calls end.
#[derive(Clone, Debug)]
pub(super) struct WitnessLayer(pub(super) Arc<watch::Sender<Vec<Ended>>>);

#[derive(Clone, Debug)]
pub(super) struct Witness<S> {
    inner: S,
    ended: Arc<watch::Sender<Vec<Ended>>>,
}

impl<S> Layer<S> for WitnessLayer {
    type Service = Witness<S>;

    fn layer(&self, inner: S) -> Witness<S> {
        Witness {
            inner,
            ended: self.0.clone(),
        }
    }
}

type Answer = http::Response<Body>;

impl<S, B> Service<http::Request<B>> for Witness<S>
where
    S: Service<http::Request<B>, Response = Answer, Future: Send + 'static>,
{
    type Response = Answer;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Answer, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let headers = request.headers();
        let (initial, trailing) = (headers.get(&INITIAL), headers.get(&TRAILING));
        let (initial, trailing) = (initial.cloned(), trailing.cloned());
        let mut guard = Guard::new(Call {
            path: request.uri().path().to_owned(),
            ended: self.ended.clone(),
        });
        let answer = self.inner.call(request);
        async move {
            let answer = echo(answer.await?, initial, trailing);
            Ok(guard.watch(answer).map(Body::new))
        }
        .boxed()
    }
}

fn echo(mut answer: Answer, initial: Option<HeaderValue>, trailing: Option<HeaderValue>) -> Answer {
    if let Some(initial) = initial {
        answer.headers_mut().insert(&INITIAL, initial);
    }
    let Some(trailing) = trailing else {
        return answer;
    };
    let add = move |trailers: &mut HeaderMap| {
        trailers.insert(&TRAILING, trailing.clone());
    };
    if answer.headers().contains_key("grpc-status") {
        // It failed at once: these are the trailers.
        add(answer.headers_mut());
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                add(trailers);
            }
            frame
        }))
    })
}

/// One call.
#[derive(Debug)]
struct Call {
    path: String,
    ended: Arc<watch::Sender<Vec<Ended>>>,
}

impl Ticket for Call {
    fn settle(self, outcome: Outcome) {
        let code = match outcome {
            Outcome::Success => Code::Ok,
            Outcome::Failure(code) => code,
            Outcome::Abandoned => Code::Cancelled,
        };
        let Self { path, ended } = self;
        let code = code as i32;
        ended.send_modify(|ended| ended.push(Ended { path, code }));
    }
}
