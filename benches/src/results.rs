//! What one run found, as it is written to `docs/performance/results.json` and read by the report.
//!
//! These are the figures as they came: [`ratio`](CellResult::ratio) and the other methods make of
//! them what is worth reading.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::stats::Spread;

/// The contender that ratios are to.
pub const REFERENCE: &str = "h2";

/// Everything that one run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What it ran on.
    pub machine: Machine,
    /// Rounds of each cell.
    pub rounds: usize,
    /// Length of a round for each contender, in ms.
    pub millis: u64,
    /// Who took part, in the order of the tables.
    pub contenders: Vec<Contender>,
    /// One for each cell, in the order of the tables.
    pub cells: Vec<CellResult>,
    /// Idle memory.
    pub memory: Vec<Memory>,
    /// Evenkeel's layers over endpoints that do nothing; the first is the endpoint alone.
    pub layers: Vec<Layer>,
    /// Picks alone, of every LB policy.
    pub picks: Vec<Picks>,
    /// Changes of endpoints, from the first to the snapshot that shows the last.
    pub updates: Vec<Update>,
    /// What was not measured.
    pub skipped: Vec<Skipped>,
}

/// What a run ran on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The model of its processor.
    pub processor: String,
    /// Its cores.
    pub cores: usize,
    /// Kernel and release.
    pub system: String,
    /// What `rustc --version` says.
    pub rustc: String,
}

/// One way to call several endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// What arguments, tables and files call it: `balance_list`.
    pub name: String,
    /// What it is, in a few words, with the versions of what it is made of.
    pub what: String,
}

/// All contenders under the same conditions, in interleaved rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CellResult {
    /// The conditions.
    pub cell: Cell,
    /// The contenders that were measured.
    pub rows: Vec<Row>,
}

/// One contender in one cell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub contender: String,
    /// Its turns. The same place is the same round for every contender of the cell. Empty when
    /// only instructions were counted.
    pub rounds: Vec<Round>,
    /// Heap allocations per call, a reallocation counting as one; `None` if it cannot count them.
    pub allocations: Option<f64>,
    /// Bytes of these allocations, per call.
    pub allocated_bytes: Option<f64>,
    /// Instructions per call, user space only, where they were counted.
    pub instructions: Option<f64>,
}

/// A contender's turn in one round, as it reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Calls (or streams) that ended.
    pub calls: u64,
    /// Time on the wall.
    pub wall_ns: u64,
    /// CPU time of the process, user and kernel.
    pub cpu_ns: u64,
    /// Half of the calls took at most this long.
    pub p50_ns: u64,
    /// 99 % of the calls took at most this long.
    pub p99_ns: u64,
    /// Resident memory of the process at the end.
    pub rss_bytes: u64,
}

/// A figure of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// CPU time per call, in µs.
    Cpu,
    /// Calls per second.
    Throughput,
    /// Median of the latency, in µs.
    P50,
    /// 99th percentile of the latency, in µs.
    P99,
    /// Resident memory of the process, in MiB.
    Rss,
}

/// What an idle endpoint costs the client's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Whose.
    pub contender: String,
    /// Whether the endpoints are connected.
    pub kind: MemoryKind,
    /// Endpoints in the run.
    pub endpoints: usize,
    /// Resident bytes that each of them adds.
    pub bytes_per_endpoint: f64,
}

/// The state of the endpoints whose memory was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// Connected, and never called.
    Ready,
    /// Connected, and called a few times.
    Used,
    /// Known, and not connected yet.
    Unconnected,
}

/// Some layers over endpoints that do nothing. What they add is the difference to the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The layers.
    pub name: String,
    /// CPU time per call, in ns: the median of interleaved rounds.
    pub ns: f64,
    /// The median of what a round took more than the endpoint alone in the same round, in ns.
    pub added_ns: f64,
    /// Instructions per call; `None` when they were not counted.
    pub instructions: Option<f64>,
    /// Heap allocations per call.
    pub allocations: u64,
    /// Bytes of these allocations.
    pub allocated_bytes: u64,
    /// Size of a call's future.
    pub future_bytes: usize,
}

/// Picks of one LB policy over so many endpoints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picks {
    /// Its name, with how weights made it pick where there are several ways.
    pub policy: String,
    /// How many it picks from.
    pub endpoints: usize,
    /// ns per pick on one thread, of each round.
    pub one_thread: Vec<f64>,
    /// ns per pick of the slower of two threads that share the picker, of each round in which both
    /// ran all the time.
    pub two_threads: Vec<f64>,
    /// Heap allocations per pick.
    pub allocations: f64,
}

/// Endpoints that change at once, until the snapshot with all changes is published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Update {
    /// The LB policy.
    pub policy: String,
    /// What changes: `state`, `weight`, or one is `replaced`.
    pub change: String,
    /// How many there are.
    pub endpoints: usize,
    /// How many of them change.
    pub at_once: usize,
    /// CPU time, in µs, of each round.
    pub micros: Vec<f64>,
    /// Heap allocations in all.
    pub allocations: f64,
}

/// Something that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Who.
    pub contender: String,
    /// What of it: a cell, a figure, or everything.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Results {
    /// The result of a cell.
    #[must_use]
    pub fn cell(&self, cell: Cell) -> Option<&CellResult> {
        self.cells.iter().find(|result| result.cell == cell)
    }
}

impl CellResult {
    /// What a contender did here.
    #[must_use]
    pub fn row(&self, contender: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender)
    }

    /// A contender's figure in units of another's: the rounds' ratios. `None` unless both were
    /// measured here.
    #[must_use]
    pub fn ratio(&self, contender: &str, to: &str, figure: Figure) -> Option<Spread> {
        let (row, to) = (self.row(contender)?, self.row(to)?);
        let rounds = row.rounds.iter().zip(&to.rounds);
        Spread::of(rounds.map(|(a, b)| a.figure(figure) / b.figure(figure)))
    }

    /// A contender's instructions per call in units of another's. `None` unless both were counted.
    #[must_use]
    pub fn instructions_ratio(&self, contender: &str, to: &str) -> Option<f64> {
        Some(self.row(contender)?.instructions? / self.row(to)?.instructions?)
    }
}

impl Row {
    /// A figure over all rounds. `None` when there are none.
    #[must_use]
    pub fn spread(&self, figure: Figure) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(|round| round.figure(figure)))
    }
}

impl Round {
    /// A figure of this turn.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> f64 {
        match figure {
            Figure::Cpu => self.cpu_ns as f64 / 1e3 / self.calls as f64,
            Figure::Throughput => self.calls as f64 / (self.wall_ns as f64 / 1e9),
            Figure::P50 => self.p50_ns as f64 / 1e3,
            Figure::P99 => self.p99_ns as f64 / 1e3,
            Figure::Rss => self.rss_bytes as f64 / f64::from(1 << 20),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "client CPU µs per call",
            Self::Throughput => "calls per s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::Rss => "resident MiB",
        })
    }
}
