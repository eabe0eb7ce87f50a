//! A tonic `Channel` for each endpoint, and an index: what users write first.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::http::Request;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint, Error};

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let mut channels = Vec::new();
        for address in &options.endpoints {
            let endpoint = Endpoint::try_from(format!("http://{address}"));
            let endpoint = endpoint.expect("an address makes a URI");
            channels.push(endpoint.connect().await.expect("a server listens"));
        }
        let channels = Channels {
            channels,
            next: Arc::new(AtomicUsize::new(0)),
            picked: 0,
        };
        move || Stub::new(channels.clone(), options.shape)
    })
}

#[derive(Clone)]
struct Channels {
    channels: Vec<Channel>,
    next: Arc<AtomicUsize>,
    /// The one that is ready.
    picked: usize,
}

impl GrpcService<Body> for Channels {
    type ResponseBody = Body;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.picked = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        GrpcService::poll_ready(&mut self.channels[self.picked], cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        GrpcService::call(&mut self.channels[self.picked], request)
    }
}
