//! `evenkeel`: looks after what etcd has of a service, and after gRPC service configs.
//!
//! Every command prints what it has found for people, or with `--json` for programs, and ends
//! with 0 when all is well, 1 when something is wrong, 2 when it could not find out.

mod args;
mod at;
mod check;
mod columns;
mod doctor;
mod outcome;
mod plain;
mod style;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use outcome::Outcome;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Check(args) => check::run(&args),
        Command::Watch(args) => watch::run(&args).await,
    };
    outcome.unwrap_or_else(Outcome::could_not).end()
}
