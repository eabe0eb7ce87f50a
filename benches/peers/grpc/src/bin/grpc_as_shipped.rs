//! The `grpc` crate as it is: without `TCP_NODELAY`, so that a request often waits for the server's
//! acknowledgement of the frames before it, which takes up to 44 ms. Not a comparison to claim.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options| contender_grpc::connect(&options).await)
}
