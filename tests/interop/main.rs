//! Suite `interop`: the cases of gRPC's own [interop tests] through whole channels, against the
//! servers of three implementations; and servers that registries of Go have written to etcd, and
//! that they find there.
//!
//! What is not Rust is built and started by its tests, where its tools are; what was built stays
//! below `target`.
//!
//! [interop tests]: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod build;
mod cases;
mod discovery;
mod go;
mod health;
mod process;
mod python;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

use evenkeel::Channel;
use evenkeel_testkit::interop::Ended;
use evenkeel_testkit::{TestServer, skip, trace_init, within};
use futures_util::FutureExt;
use tokio::sync::watch;

use cases::CASES;
use process::Process;

/// What a user's channel has: round_robin, retries, a deadline; breakers are there by default.
const CONFIG: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{"name": [{}], "timeout": "60s", "retryPolicy": {"maxAttempts": 4,
        "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]}}],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}"#;

/// CANCELLED.
const CANCELLED: i32 = tonic::Code::Cancelled as i32;

#[tokio::test]
async fn every_case_holds_against_tonic() {
    trace_init();
    let server = TestServer::start().unwrap();
    every_case_holds(server.address(), server.ended()).await;
}

#[tokio::test]
async fn every_case_holds_against_grpc_go() {
    holds_unless_skipped(go::server().await).await;
}

#[tokio::test]
async fn every_case_holds_against_grpc_python() {
    holds_unless_skipped(python::server().await).await;
}

async fn holds_unless_skipped(server: Result<Process, String>) {
    trace_init();
    match server {
        Ok(server) => every_case_holds(server.address(), server.ended()).await,
        Err(reason) => skip::report(&reason),
    }
}

/// Runs all cases on one channel, also those after one that fails.
async fn every_case_holds(server: SocketAddr, mut ended: watch::Receiver<Vec<Ended>>) {
    let target = format!("static:///{server}");
    let builder = Channel::builder(target).service_config(CONFIG);
    let channel = builder.build().unwrap();
    let mut failed = Vec::new();
    for case in CASES {
        let before = ended.borrow().len();
        let run = AssertUnwindSafe((case.run)(channel.clone()));
        if run.catch_unwind().await.is_err() {
            failed.push(case.name);
            continue;
        }
        // A caller cancels by dropping the call, and the server is who hears of it.
        if let Some(path) = case.cancels {
            let is_cancelled = |one: &Ended| one.path == path && one.code == CANCELLED;
            let seen = ended.wait_for(|ended| ended[before..].iter().any(is_cancelled));
            within(case.name, seen).await.unwrap();
        }
    }
    assert!(failed.is_empty(), "{failed:?}; their panics are above");
}
