use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use evenkeel_bench_harness::Shape;

use super::build;
use super::folder;
use super::process::Process;
use crate::cell::ServerKind;

const PATIENCE: Duration = Duration::from_secs(20);

/// Servers in a process of their own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    /// Holds them.
    _process: Process,
    addresses: Vec<SocketAddr>,
}

impl Servers {
    pub(super) fn start(kind: ServerKind, ports: usize, shape: Shape) -> io::Result<Self> {
        Self::try_start(kind, ports, shape)
            .map_err(|error| io::Error::other(format!("the servers do not start: {error}")))
    }

    fn try_start(kind: ServerKind, ports: usize, shape: Shape) -> Result<Self, String> {
        let arguments = [
            "--kind",
            kind.name(),
            "--ports",
            &ports.to_string(),
            "--shape",
            shape.name(),
        ];
        let mut process = Process::start(Command::new(program()?).args(arguments))?;
        let mut addresses = Vec::new();
        for _ in 0..ports {
            let line = process.line(PATIENCE)?;
            let address = line
                .parse()
                .map_err(|_| format!("{line:?} is no address"))?;
            addresses.push(address);
        }
        Ok(Self {
            _process: process,
            addresses,
        })
    }

    /// So many endpoints, as arguments of contenders write them; those beyond the ports are
    /// addresses where nobody listens.
    pub(super) fn endpoints(&self, count: usize) -> String {
        let unused = (1..).map(|port: u16| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        let addresses = self.addresses.iter().copied().chain(unused);
        let addresses: Vec<_> = addresses
            .take(count)
            .map(|address| address.to_string())
            .collect();
        addresses.join(",")
    }
}

fn program() -> Result<PathBuf, String> {
    let manifest = folder().join("Cargo.toml");
    build::cargo(&manifest, "evenkeel-bench-server", "server")
}
