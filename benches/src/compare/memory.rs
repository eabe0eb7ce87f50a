//! What an endpoint costs while nobody calls it: the difference of two numbers of endpoints.

use std::io;

use evenkeel_bench_harness::{self as harness, Shape};

use super::Run;
use super::catalog::{self, Contender};
use super::server::Servers;
use super::time::{CONNECT, PATIENCE, ask, command, start};
use crate::cell::{Cell, ServerKind};
use crate::results::{Memory, MemoryKind};

const CONNECTED: (usize, usize) = (100, 1_000);
const UNCONNECTED: (usize, usize) = (1_000, 10_000);
/// Whose endpoints are known and not connected.
const LAZY: &str = "evenkeel_pick_first";

impl Run<'_> {
    pub(super) fn memory(&mut self) -> io::Result<()> {
        let servers = Servers::start(ServerKind::Canned, CONNECTED.1, Shape::Unary)?;
        for contender in self.ranked() {
            if !contender.counted {
                continue;
            }
            eprintln!("memory of {}", contender.name);
            self.one_memory(contender, &servers);
        }
        let lazy = catalog::ALL.iter().find(|contender| contender.name == LAZY);
        if let Some(lazy) = lazy.filter(|lazy| self.programs.path(lazy).is_some()) {
            eprintln!("memory of {LAZY}");
            self.one_memory(lazy, &servers);
        }
        Ok(())
    }

    fn one_memory(&mut self, contender: &Contender, servers: &Servers) {
        let (few, many) = if contender.name == LAZY {
            UNCONNECTED
        } else {
            CONNECTED
        };
        let measured = self
            .resident(contender, few, servers)
            .and_then(|few| Ok((few, self.resident(contender, many, servers)?)));
        let (before, after) = match measured {
            Ok(resident) => resident,
            Err(reason) => return self.skip(contender.name, "memory", reason),
        };
        for ((kind, after), (_, before)) in after.into_iter().zip(before) {
            let bytes = (after as f64 - before as f64) / (many - few) as f64;
            self.results.memory.push(Memory {
                contender: contender.name.to_owned(),
                kind,
                endpoints: many,
                bytes_per_endpoint: bytes,
            });
        }
    }

    /// Resident bytes of a process with so many endpoints, before and after it has called them.
    fn resident(
        &self,
        contender: &Contender,
        endpoints: usize,
        servers: &Servers,
    ) -> Result<Vec<(MemoryKind, u64)>, String> {
        let program = self.programs.path(contender).expect("it was built");
        let cell = Cell {
            callers: 0,
            endpoints,
            ..Cell::default()
        };
        let lazy = contender.name == LAZY;
        let mut command = command(program, cell, servers);
        if lazy {
            command.args(["--connections", "1"]);
        }
        let mut process = start(&mut command, CONNECT)?;
        let mut idle = || {
            let answer = ask(&mut process, harness::Command::Idle, PATIENCE)?;
            Ok::<_, String>(answer.rss_bytes)
        };
        if lazy {
            return Ok(vec![(MemoryKind::Unconnected, idle()?)]);
        }
        let ready = idle()?;
        let twice = 2 * endpoints as u64;
        ask(&mut process, harness::Command::Calls(twice), PATIENCE)?;
        let used = ask(&mut process, harness::Command::Idle, PATIENCE)?.rss_bytes;
        Ok(vec![(MemoryKind::Ready, ready), (MemoryKind::Used, used)])
    }
}
