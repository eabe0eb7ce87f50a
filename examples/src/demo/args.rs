use std::path::PathBuf;

/// Client-side discovery, load balancing, failover and circuit breaking, shown on three servers.
#[derive(Debug, clap::Parser)]
#[command(name = "demo", args_conflicts_with_subcommands = true)]
#[non_exhaustive]
pub struct Args {
    #[command(flatten)]
    pub(super) show: Show,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Everything in one process.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Show {
    /// Register in this etcd and discover from it; without it, the registry is in memory
    #[arg(long, value_name = "URL")]
    pub(super) etcd: Option<String>,
    /// The name that the servers register under
    #[arg(long, default_value = "user-service")]
    pub(super) service: String,
    /// A gRPC service config (JSON) instead of examples/service-config.json; shares are then
    /// shown and not judged
    #[arg(long, value_name = "FILE")]
    pub(super) service_config: Option<PathBuf>,
    /// About how long the script takes
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// The same as --seconds 10
    #[arg(long, conflicts_with = "seconds")]
    pub(super) quick: bool,
    /// How many callers there are
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) callers: u32,
    /// Calls per second, all callers together
    #[arg(long, default_value_t = 400.0, value_parser = rate)]
    pub(super) rate: f64,
    /// Plain lines, even in a terminal
    #[arg(long)]
    pub(super) plain: bool,
}

/// One part in a process of its own; all of them against one etcd.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Runs a server that registers itself; Ctrl-C drains it
    Serve(Serve),
    /// Calls GetById
    Call(Call),
    /// Prints how endpoints come, go, and change
    Watch(Watch),
}

/// Where the servers are written down.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct At {
    /// The etcd to register in or discover from
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:2379")]
    pub(super) etcd: String,
    /// The name that the servers register under
    #[arg(long, default_value = "user-service")]
    pub(super) service: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) at: At,
    /// The port of 127.0.0.1 to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// Its share of the calls, relative to the other servers
    #[arg(long, default_value_t = 10.0, value_parser = weight)]
    pub(super) weight: f64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Call {
    #[command(flatten)]
    pub(super) at: At,
    /// A gRPC service config (JSON) instead of examples/service-config.json
    #[arg(long, value_name = "FILE")]
    pub(super) service_config: Option<PathBuf>,
    /// The user to ask for
    #[arg(long, default_value_t = 123)]
    pub(super) id: i64,
    /// How many calls to make; 0 goes on until Ctrl-C
    #[arg(long, default_value_t = 1)]
    pub(super) count: u64,
    /// Calls per second
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub(super) rate: f64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    #[command(flatten)]
    pub(super) at: At,
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 5.0..=3_600.0)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 1.0..=100_000.0)
}

fn weight(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1e6)
}

fn number(text: &str, legal: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if legal.contains(&number) => Ok(number),
        _ => Err(format!("expected {} to {}", legal.start(), legal.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for bad in [
            "--seconds=0",
            "--rate=0",
            "--rate=NaN",
            "--callers=0",
            "--rate=-1",
        ] {
            assert!(Args::try_parse_from(["demo", bad]).is_err(), "{bad}");
        }
    }
}
