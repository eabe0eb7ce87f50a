//! tower's balancer, power of two choices by PeakEwma, over a tonic `Channel` for each endpoint,
//! behind a buffer so that it can be cloned: what tower's own documentation leads to.

use std::process::ExitCode;
use std::time::Duration;

use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;
use http::Request;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma};

/// What tonic gives its own buffer.
const BUFFERED: usize = 1_024;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let mut channels = Vec::new();
        for address in &options.endpoints {
            let endpoint = Endpoint::try_from(format!("http://{address}"));
            let endpoint = endpoint.expect("an address makes a URI");
            let channel = endpoint.connect().await.expect("a server listens");
            channels.push(PeakEwma::new(
                channel,
                Duration::from_millis(1),
                10.0e9,
                CompleteOnResponse::default(),
            ));
        }
        let balance = Balance::<_, Request<Body>>::new(ServiceList::new(channels));
        let channel = Buffer::new(balance, BUFFERED);
        move || Stub::new(channel.clone(), options.shape)
    })
}
