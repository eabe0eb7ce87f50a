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

fn main() -> ExitCode {
    let command = Args::parse().command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(command));
            // Names that are still being looked up would be waited for.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.to_string()),
    };
    outcome.unwrap_or_else(Outcome::could_not).end()
}

async fn run(command: Command) -> Result<Outcome, String> {
    match command {
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Check(args) => check::run(&args),
        Command::Watch(args) => watch::run(&args).await,
    }
}
