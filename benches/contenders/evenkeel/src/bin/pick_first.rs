//! Evenkeel's channel with pick_first: of many endpoints, only one is connected.

use std::process::ExitCode;

use contender_evenkeel::{builder, ready};
use evenkeel_bench_harness::Options;
use evenkeel_bench_stub::Stub;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let channel = builder(&options).build();
        let channel = channel.expect("the target is ours");
        ready(&channel, 1).await;
        move || Stub::new(channel.clone(), options.shape)
    })
}
