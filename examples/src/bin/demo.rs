//! `cargo demo`: see [`evenkeel_examples::demo`].

use std::process::ExitCode;

use clap::Parser;
use evenkeel_examples::demo::{Args, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Args::parse()).await
}
