//! What many endpoints in etcd cost their clients, and many servers cost etcd:
//!
//! ```sh
//! cargo run --profile bench -p evenkeel-bench-server -p evenkeel-bench-discovery   # from benches/: discovery/run
//! ```
//!
//! Every client is a process of its own, so that what it uses is its own. Needs `etcd` on the
//! `PATH`. Arguments: none for everything, or one of `list`, `changes`, `outage`.

mod changes;
mod child;
mod error;
mod list;
mod metrics;
mod outage;
mod registry;
mod servers;

use std::process::ExitCode;

use error::Error;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Error> {
    match arguments {
        [] => {
            child::runtime(list::measure())?;
            child::runtime(changes::measure())?;
            child::runtime(outage::measure())
        }
        ["list"] => child::runtime(list::measure()),
        ["changes"] => child::runtime(changes::measure()),
        ["outage"] => child::runtime(outage::measure()),
        ["client-stream", etcd, count] => child::runtime(list::stream(etcd, count.parse()?)),
        ["client-channel", etcd, count] => child::runtime(list::channel(etcd, count.parse()?)),
        ["client-changes", etcd, count, kind] => {
            child::runtime(changes::client(etcd, count.parse()?, kind))
        }
        ["registrars", etcd, count] => child::runtime(outage::registrars(etcd, count.parse()?)),
        _ => Err("arguments: none, or list, changes, outage".into()),
    }
}
