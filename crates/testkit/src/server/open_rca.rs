use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, StreamExt, unfold};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::incarnation::Setup;
use super::load_report::OrcaLoadReport;

/// The one method of the service.
pub(super) const METHOD: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";

/// Streams the server's load: what it is at first, then each change, whatever interval was asked for.
#[derive(Clone, Debug)]
pub(super) struct OpenRca(pub(super) Arc<Setup>);

/// `xds.service.orca.v3.OrcaLoadReportRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OrcaLoadReportRequest {
    #[prost(message, optional, tag = "1")]
    report_interval: Option<Interval>,
    #[prost(string, repeated, tag = "2")]
    request_cost_names: Vec<String>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Interval {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A stream that is open.
struct Open(Arc<Setup>);

impl Open {
    fn begin(setup: Arc<Setup>, request: &OrcaLoadReportRequest) -> Self {
        let interval = request.report_interval.map(|interval| {
            let seconds = Duration::from_secs(interval.seconds.unsigned_abs());
            seconds + Duration::from_nanos(interval.nanos.unsigned_abs().into())
        });
        setup.counters.count(|seen| {
            seen.open_load_streams += 1;
            seen.load_interval = interval;
        });
        Self(setup)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.count(|seen| seen.open_load_streams -= 1);
    }
}

impl ServerStreamingService<OrcaLoadReportRequest> for OpenRca {
    type Response = OrcaLoadReport;
    type ResponseStream = BoxStream<'static, Result<OrcaLoadReport, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<OrcaLoadReportRequest>) -> Self::Future {
        let open = Open::begin(self.0.clone(), request.get_ref());
        let mut loads = self.0.script.streamed_load();
        loads.mark_changed();
        let reports = unfold((loads, open), |(mut loads, open)| async {
            loop {
                loads.changed().await.ok()?;
                let load = loads.borrow_and_update().clone();
                if let Some(load) = load {
                    return Some((Ok(load), (loads, open)));
                }
            }
        });
        async move { Ok(Response::new(reports.boxed())) }.boxed()
    }
}

impl NamedService for OpenRca {
    const NAME: &'static str = "xds.service.orca.v3.OpenRcaService";
}

impl Service<http::Request<Body>> for OpenRca {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.server_streaming(service, request).await)
        }
        .boxed()
    }
}
