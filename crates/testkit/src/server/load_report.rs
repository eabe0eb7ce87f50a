use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use prost::Message;
use tonic::body::Body;
use tonic::metadata::BinaryMetadataValue;
use tower_layer::Layer;
use tower_service::Service;

use super::incarnation::Setup;

/// `xds.data.orca.v3.OrcaLoadReport`: what a server says of its load at the end of each call.
#[derive(Clone, PartialEq, Message)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the message's fields, built upon its Default"
)]
pub struct OrcaLoadReport {
    /// Of the CPU; may be more than 1.
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    /// Of the memory, from 0 to 1.
    #[prost(double, tag = "2")]
    pub mem_utilization: f64,
    /// Of other things, by their names.
    #[prost(map = "string, double", tag = "5")]
    pub utilization: HashMap<String, f64>,
    /// Calls per second.
    #[prost(double, tag = "6")]
    pub rps_fractional: f64,
    /// Failed calls per second.
    #[prost(double, tag = "7")]
    pub eps: f64,
    /// Anything else.
    #[prost(map = "string, double", tag = "8")]
    pub named_metrics: HashMap<String, f64>,
    /// As the application sees it; may be more than 1.
    #[prost(double, tag = "9")]
    pub application_utilization: f64,
}

impl OrcaLoadReport {
    /// As it stands in the trailers.
    pub(super) fn header(&self) -> HeaderValue {
        let value = BinaryMetadataValue::from_bytes(&self.encode_to_vec());
        HeaderValue::from_bytes(value.as_encoded_bytes()).expect("base64 is ASCII")
    }
}

static LOAD_REPORT: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// Adds the server's load report to the trailers of each call.
#[derive(Clone, Debug)]
pub(super) struct LoadReportLayer(pub(super) Arc<Setup>);

#[derive(Clone, Debug)]
pub(super) struct LoadReports<S> {
    inner: S,
    setup: Arc<Setup>,
}

impl<S> Layer<S> for LoadReportLayer {
    type Service = LoadReports<S>;

    fn layer(&self, inner: S) -> LoadReports<S> {
        LoadReports {
            inner,
            setup: self.0.clone(),
        }
    }
}

type Answer = http::Response<Body>;

impl<S, B> Service<http::Request<B>> for LoadReports<S>
where
    S: Service<http::Request<B>, Response = Answer>,
{
    type Response = Answer;
    type Error = S::Error;
    type Future = MapOk<S::Future, Box<dyn FnOnce(Answer) -> Answer + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let setup = self.setup.clone();
        let answer = self.inner.call(request);
        answer.map_ok(Box::new(move |answer| reporting(answer, setup)))
    }
}

fn reporting(mut answer: Answer, setup: Arc<Setup>) -> Answer {
    let report = move |trailers: &mut HeaderMap| {
        if let Some(report) = setup.script.load_report() {
            trailers.insert(LOAD_REPORT.clone(), report);
        }
    };
    if answer.headers().contains_key("grpc-status") {
        // It failed at once: these are the trailers.
        report(answer.headers_mut());
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                report(trailers);
            }
            frame
        }))
    })
}
