//! tonic's own balanced channel, as it comes.

use std::process::ExitCode;

use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;
use tonic::transport::{Channel, Endpoint};

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let endpoints = options.endpoints.iter().map(|address| {
            let endpoint = Endpoint::try_from(format!("http://{address}"));
            endpoint.expect("an address makes a URI")
        });
        let channel = Channel::balance_list(endpoints);
        move || Stub::new(channel.clone(), options.shape)
    })
}
