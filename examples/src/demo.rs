//! Three servers, some callers, and everything that goes wrong in a week, in half a minute.
//!
//! `cargo demo` needs nothing but this repository: the registry is in memory, the servers are
//! real and listen on 127.0.0.1, the service config is `examples/service-config.json`. With
//! `--etcd http://127.0.0.1:2379` the servers register themselves in etcd and the callers
//! discover them there; `serve`, `call` and `watch` do the same in processes of their own.
//!
//! The exit code is 0 when no call failed that should not have, and the shares while steady were
//! those of the weights.

mod args;
mod call;
mod error;
mod facts;
mod fleet;
mod load;
mod registry;
mod screen;
mod script;
mod serve;
mod stage;
mod stream;
mod summary;
mod table;
mod tally;
mod watch;

use std::process::ExitCode;

pub use args::Args;

use args::Command;

/// Runs what the command line asks for; Ctrl-C ends it early.
pub async fn run(args: Args) -> ExitCode {
    let work = async {
        match args.command {
            None => script::play(args.show).await,
            Some(Command::Serve(args)) => serve::serve(args).await,
            Some(Command::Call(args)) => call::call(args).await,
            Some(Command::Watch(args)) => watch::watch(args).await,
        }
    };
    match work.await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", evenkeel::errors::chain(&error));
            ExitCode::FAILURE
        }
    }
}
