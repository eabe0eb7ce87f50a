//! Evenkeel's channel with everything on.

use std::process::ExitCode;

use contender_evenkeel::{EVERYTHING, builder, ready};
use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let channel = builder(&options).service_config(EVERYTHING).build();
        let channel = channel.expect("the target and the config are ours");
        ready(&channel, options.endpoints.len()).await;
        move || Stub::new(channel.clone(), options.shape)
    })
}
