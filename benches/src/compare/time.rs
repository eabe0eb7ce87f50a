//! Interleaved rounds: in each, every contender has its turn, so that a busy moment of the machine
//! hits all alike.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use evenkeel_bench_harness::{self as harness, Answer};

use super::catalog::Contender;
use super::options::Figures;
use super::process::Process;
use super::server::Servers;
use super::{Run, print};
use crate::cell::Cell;
use crate::results::{Round, Row};

/// How long a contender may take to connect and warm up.
pub(super) const CONNECT: Duration = Duration::from_secs(90);
/// How long an answer may take beyond what was asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The command that starts a contender in a cell.
pub(super) fn command(program: &Path, cell: Cell, servers: &Servers) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--endpoints", &servers.endpoints(cell.endpoints)])
        .args(["--callers", &cell.callers.to_string()])
        .args(["--workers", &cell.workers.to_string()])
        .args(["--shape", cell.shape.name()]);
    command
}

/// Starts a contender and waits until it is ready.
pub(super) fn start(command: &mut Command, patience: Duration) -> Result<Process, String> {
    let mut process = Process::start(command)?;
    match &*process.line(patience)? {
        "ready" => Ok(process),
        line => Err(format!("it says {line:?} instead of ready")),
    }
}

/// A contender's answer to a command.
pub(super) fn ask(
    process: &mut Process,
    command: harness::Command,
    patience: Duration,
) -> Result<Answer, String> {
    let line = process.ask(&command.to_string(), patience)?;
    serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))
}

struct Turn {
    contender: &'static Contender,
    process: Process,
    rounds: Vec<Round>,
}

impl Run<'_> {
    /// Everything that is measured in a cell, but instructions.
    pub(super) fn cell(&mut self, cell: Cell) -> io::Result<()> {
        let servers = Servers::start(cell.server, cell.endpoints, cell.shape)?;
        eprintln!("measuring {cell}");
        if self.options.measures(Figures::TIME) {
            self.time(cell, &servers);
        }
        if self.options.measures(Figures::ALLOCATIONS) {
            self.allocations(cell, &servers);
        }
        print::cell(self.result(cell));
        Ok(())
    }

    fn time(&mut self, cell: Cell, servers: &Servers) {
        let mut turns = Vec::new();
        for contender in self.ranked() {
            let program = self.programs.path(contender).expect("it was built");
            let mut command = command(program, cell, servers);
            match start(&mut command, CONNECT) {
                Ok(process) => turns.push(Turn {
                    contender,
                    process,
                    rounds: Vec::new(),
                }),
                Err(reason) => self.skip_cell(contender, cell, reason),
            }
        }
        let time = Duration::from_millis(self.options.millis);
        // The first round warms up.
        for round in 0..=self.options.rounds {
            // Nobody is always the one after the other.
            let count = turns.len().max(1);
            turns.rotate_left(round % count);
            turns.retain_mut(|turn| match turn.take(time) {
                Ok(taken) => {
                    turn.rounds.extend(Some(taken).filter(|_| round > 0));
                    true
                }
                Err(reason) => {
                    self.skip_cell(turn.contender, cell, reason);
                    false
                }
            });
        }
        for contender in self.ranked() {
            let turn = turns
                .iter_mut()
                .find(|turn| turn.contender.name == contender.name);
            if let Some(turn) = turn {
                let rounds = std::mem::take(&mut turn.rounds);
                self.result(cell).rows.push(Row {
                    contender: contender.name.to_owned(),
                    rounds,
                    ..Row::default()
                });
            }
        }
    }

    /// Takes a contender out of the rest of a cell.
    pub(super) fn skip_cell(&mut self, contender: &Contender, cell: Cell, reason: String) {
        if self.failed.insert((contender.name.to_owned(), cell)) {
            self.skip(contender.name, cell, reason);
        }
    }
}

impl Turn {
    fn take(&mut self, time: Duration) -> Result<Round, String> {
        let run = harness::Command::Run(time);
        let answer = ask(&mut self.process, run, time + PATIENCE)?;
        if answer.calls == 0 {
            return Err(format!("no call ended within {time:?}"));
        }
        Ok(Round {
            calls: answer.calls,
            wall_ns: answer.wall_ns,
            cpu_ns: answer.cpu_ns,
            p50_ns: answer.p50_ns,
            p99_ns: answer.p99_ns,
            rss_bytes: answer.rss_bytes,
        })
    }
}
