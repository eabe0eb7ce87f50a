//! The `grpc` crate with `TCP_NODELAY` on its connections, which it does not set itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options| {
        let channels = contender_grpc::connect(&options).await;
        let sockets =
            contender_grpc::set_nodelay().expect("this process may change its own sockets");
        assert!(sockets >= options.endpoints.len(), "{sockets} sockets");
        channels
    })
}
