use std::path::PathBuf;
use std::time::Duration;

use evenkeel_etcd::{CODEC_NAMES, codec_named};

/// Looks after what etcd has of a service, and after gRPC service configs.
///
/// Ends with 0 when all is well, 1 when something is wrong, 2 when it could not find out.
#[derive(Debug, clap::Parser)]
#[command(name = "evenkeel", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Doctor(Doctor),
    Check(Check),
    Watch(Watch),
}

/// Finds what is wrong with the endpoints of a service in etcd
///
/// Lists the keys of the service, asks for their leases, dials their addresses, looks at services
/// with similar names and at etcd itself. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel doctor etcd://127.0.0.1:2379 service/user
  evenkeel doctor etcd://10.0.0.1,10.0.0.2,10.0.0.3/service/user --json
  evenkeel doctor https://etcd.internal helloworld --layout kratos --cacert ca.pem
  evenkeel doctor etcd://127.0.0.1 service/user --user reader --password-file secret --strict

What is looked at, why, and what to do: docs/cli.md")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) at: At,
    /// Do not dial the endpoints
    #[arg(long)]
    pub(crate) no_dial: bool,
    /// Dial the endpoints by TLS, trusting these certificates (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "no_dial")]
    pub(crate) dial_cacert: Option<PathBuf>,
    /// Dial the endpoints under this name instead of their own addresses
    #[arg(long, value_name = "NAME", conflicts_with = "no_dial")]
    pub(crate) dial_authority: Option<String>,
    /// List all keys and not only the first 50
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Checks a gRPC service config (JSON) and explains what it comes to
///
/// An error is what makes gRPC refuse the config, a warning what it ignores in silence, a note
/// what is in force and probably not meant.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel check service-config.json
  evenkeel check service-config.json --method user.UserService/GetById
  kubectl get configmap grpc -o jsonpath='{.data.config}' | evenkeel check --strict -")]
pub(crate) struct Check {
    /// The file, or - for the standard input
    pub(crate) file: PathBuf,
    /// Explain only what is in force for this method: package.Service/Method
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// The most attempts of a call that your channel allows
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) max_attempts: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Prints how the endpoints of a service in etcd come, change and go, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel watch etcd://127.0.0.1:2379 service/user
  evenkeel watch etcd://127.0.0.1:2379 service/user --json | jq .endpoint")]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) at: At,
    /// One line of JSON for each change
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Output {
    /// JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 1 for warnings, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Where etcd is, and how the service is written there.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct At {
    /// etcd's members and maybe the service: etcd://host:port,host:port/service, or
    /// https://host:port; the port is 2379 unless said otherwise
    pub(crate) etcd: String,
    /// The service, unless it is in the URL
    pub(crate) service: Option<String>,
    /// What is put before all keys as it is, for example prod/
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// How endpoints are written; most layouts take the root of their keys too, for example
    /// kratos=/prod/microservices
    #[arg(long, default_value = "go", value_name = "LAYOUT[=ROOT]", value_parser = layout)]
    pub(crate) layout: String,
    /// The etcd user; the password is in --password-file, or in the variable ETCDCTL_PASSWORD
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A file with the password and nothing else
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// Trust these certificates (PEM) instead of the system's; speaks TLS
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// The client's certificate (PEM); speaks TLS
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The client's key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// How long an answer of etcd, or of an endpoint, may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// A name that stands for a layout, as it is.
fn layout(text: &str) -> Result<String, String> {
    match codec_named(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("expected one of {}", CODEC_NAMES.join(", "))),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.1..=600.0) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected 0.1 to 600".to_owned()),
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
    fn a_layout_may_have_a_root() {
        for layout in CODEC_NAMES.iter().chain(&["kratos=/prod", "rpcx="]) {
            let args = ["evenkeel", "doctor", "etcd://h", "user", "--layout", layout];
            assert!(Args::try_parse_from(args).is_ok(), "{layout}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "--timeout=0",
            "--timeout=nan",
            "--layout=xml",
            "--layout=go=/prod",
            "--cert=a.pem",
            "--password-file=x",
        ] {
            let args = ["evenkeel", "doctor", "etcd://h", "user", bad];
            assert!(Args::try_parse_from(args).is_err(), "{bad}");
        }
    }
}
