//! What was promised, and whether a run kept it.

use std::fmt;

use evenkeel_bench_harness::Shape;

use super::table::{NONE, Table, number};
use super::{EVERYTHING, ROUND_ROBIN, unary};
use crate::cell::{Cell, ServerKind};
use crate::results::{Figure, MemoryKind, REFERENCE, Results};
use crate::stats::Spread;

/// The stack of layers whose overhead is limited.
const ALL_LAYERS: &str = "all, deadline 1 s";
const TONIC_CHANNELS: &str = "tonic_channels";
const BALANCE_LIST: &str = "balance_list";
const HYPER: &str = "hyper";

/// One figure and its limit.
pub(super) struct Goal {
    measure: Measure,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Where a goal's figure comes from.
#[derive(Clone, Copy)]
enum Measure {
    /// A contender's figure in units of another's.
    Ratio(&'static str, &'static str, Figure, Cell),
    /// The same of instructions.
    Instructions(&'static str, &'static str, Cell),
    /// Allocations per call.
    Allocations(&'static str, Cell),
    /// Nanoseconds that all layers add to a call.
    LayersTime,
    /// Allocations that all layers add to a call.
    LayersAllocations,
    /// KiB that an idle endpoint takes, of the contender of ours that takes most.
    Memory(MemoryKind),
    /// ns of the slowest policy's pick, on so many threads.
    Pick(usize),
    /// ms until so many changes of 10 000 endpoints are published, of the slowest.
    Update(usize),
}

/// A goal's figure in a run.
struct Found {
    value: f64,
    text: String,
}

/// All goals, in the order of their importance.
pub(super) fn all() -> Vec<Goal> {
    use Figure::{Cpu, P50, P99, Throughput};
    use Limit::{AtLeast, AtMost};
    use Measure::{
        Allocations, Instructions, LayersAllocations, LayersTime, Memory, Pick, Ratio, Update,
    };

    let (one, many, most) = (unary(64, 1), unary(64, 4), unary(256, 32));
    let alone = unary(1, 1);
    let tonic = Cell {
        server: ServerKind::Tonic,
        ..many
    };
    let large = Cell {
        shape: Shape::Unary16k,
        ..many
    };
    let streams = Cell {
        callers: 4,
        endpoints: 1,
        shape: Shape::Stream,
        ..many
    };
    let goal = |measure, limit| Goal { measure, limit };
    vec![
        goal(Ratio(ROUND_ROBIN, REFERENCE, Cpu, one), AtMost(1.35)),
        goal(Ratio(ROUND_ROBIN, REFERENCE, Cpu, many), AtMost(1.35)),
        goal(Instructions(ROUND_ROBIN, REFERENCE, many), AtMost(1.35)),
        goal(Instructions(ROUND_ROBIN, HYPER, many), AtMost(0.86)),
        goal(Ratio(EVERYTHING, REFERENCE, Cpu, many), AtMost(1.50)),
        goal(Instructions(EVERYTHING, REFERENCE, many), AtMost(1.50)),
        goal(Ratio(ROUND_ROBIN, BALANCE_LIST, Cpu, one), AtMost(0.60)),
        goal(Ratio(ROUND_ROBIN, BALANCE_LIST, Cpu, many), AtMost(0.47)),
        goal(
            Ratio(ROUND_ROBIN, BALANCE_LIST, Throughput, one),
            AtLeast(1.6),
        ),
        goal(
            Ratio(ROUND_ROBIN, BALANCE_LIST, Throughput, many),
            AtLeast(2.1),
        ),
        goal(Ratio(EVERYTHING, BALANCE_LIST, Cpu, one), AtMost(0.66)),
        goal(Ratio(EVERYTHING, BALANCE_LIST, Cpu, many), AtMost(0.52)),
        goal(Ratio(EVERYTHING, BALANCE_LIST, Cpu, most), AtMost(0.58)),
        goal(Ratio(EVERYTHING, BALANCE_LIST, Cpu, tonic), AtMost(0.85)),
        goal(Ratio(ROUND_ROBIN, "grpc", Cpu, many), AtMost(0.40)),
        goal(Ratio(ROUND_ROBIN, "volo", Cpu, many), AtMost(0.38)),
        goal(Ratio(ROUND_ROBIN, "grpc_go", Cpu, many), AtMost(0.50)),
        goal(LayersTime, AtMost(150.0)),
        goal(LayersAllocations, AtMost(2.0)),
        goal(Allocations(ROUND_ROBIN, many), AtMost(20.0)),
        goal(Allocations(EVERYTHING, many), AtMost(20.0)),
        goal(Memory(MemoryKind::Ready), AtMost(18.0)),
        goal(Memory(MemoryKind::Unconnected), AtMost(2.0)),
        goal(Ratio(EVERYTHING, HYPER, P50, alone), AtMost(1.00)),
        goal(Ratio(EVERYTHING, HYPER, P99, alone), AtMost(1.00)),
        goal(Ratio(EVERYTHING, TONIC_CHANNELS, Cpu, large), AtMost(1.00)),
        goal(
            Ratio(EVERYTHING, TONIC_CHANNELS, Cpu, streams),
            AtMost(1.00),
        ),
        goal(Pick(1), AtMost(25.0)),
        goal(Pick(2), AtMost(60.0)),
        goal(Update(1), AtMost(1.0)),
        goal(Update(1_000), AtMost(5.0)),
    ]
}

/// The goals with the figures of a run, and whether they are met.
pub(super) fn table(results: &Results) -> Table {
    let mut table = Table::new(["goal", "server", "limit", "figure", "met"]);
    for goal in all() {
        let found = goal.measure.find(results);
        let met = found.as_ref().map(|found| goal.limit.allows(found.value));
        let verdict = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        let server = goal.measure.cell().map(|cell| cell.server.to_string());
        let figure = found.map(|found| found.text);
        let fields = [
            goal.measure.to_string(),
            server.unwrap_or_else(|| NONE.to_owned()),
            goal.measure.limit(goal.limit),
            figure.unwrap_or_else(|| NONE.to_owned()),
            verdict.to_owned(),
        ];
        table.row(false, fields);
    }
    table
}

impl Limit {
    fn allows(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Measure {
    fn cell(self) -> Option<Cell> {
        match self {
            Self::Ratio(_, _, _, cell)
            | Self::Instructions(_, _, cell)
            | Self::Allocations(_, cell) => Some(cell),
            _ => None,
        }
    }

    fn find(self, results: &Results) -> Option<Found> {
        match self {
            Self::Ratio(ours, theirs, figure, cell) => {
                let spread = results.cell(cell)?.ratio(ours, theirs, figure)?;
                Some(Found {
                    value: spread.median,
                    text: spread.to_string(),
                })
            }
            Self::Instructions(ours, theirs, cell) => {
                let ratio = results.cell(cell)?.instructions_ratio(ours, theirs)?;
                Some(self.found(ratio))
            }
            Self::Allocations(ours, cell) => {
                Some(self.found(results.cell(cell)?.row(ours)?.allocations?))
            }
            Self::LayersTime => {
                let all = results.layers.iter().find(|layer| layer.name == ALL_LAYERS);
                Some(self.found(all?.added_ns))
            }
            Self::LayersAllocations => {
                let alone = results.layers.first()?;
                let all = results.layers.iter().find(|layer| layer.name == ALL_LAYERS);
                Some(self.found(all?.allocations as f64 - alone.allocations as f64))
            }
            Self::Memory(kind) => {
                let ours = results
                    .memory
                    .iter()
                    .filter(|memory| super::is_evenkeel(&memory.contender) && memory.kind == kind);
                let bytes = ours.map(|memory| memory.bytes_per_endpoint);
                Some(self.found(bytes.max_by(f64::total_cmp)? / 1024.0))
            }
            Self::Pick(threads) => {
                let all = results.picks.iter();
                let picks = all.filter(|picks| !picks.policy.starts_with("ring_hash"));
                let picks = picks.filter_map(|picks| match threads {
                    1 => median(&picks.one_thread),
                    _ => median(&picks.two_threads),
                });
                Some(self.found(picks.max_by(f64::total_cmp)?))
            }
            Self::Update(at_once) => {
                let updates = results.updates.iter();
                let updates = updates.filter(|update| update.at_once == at_once);
                let micros = updates.filter_map(|update| median(&update.micros));
                Some(self.found(micros.max_by(f64::total_cmp)? / 1e3))
            }
        }
    }

    fn found(self, value: f64) -> Found {
        let text = format!("{}{}", number(value, self.digits()), self.unit());
        Found { value, text }
    }

    fn limit(self, limit: Limit) -> String {
        let (sign, value) = match limit {
            Limit::AtMost(most) => ('≤', most),
            Limit::AtLeast(least) => ('≥', least),
        };
        format!("{sign} {}{}", number(value, self.digits()), self.unit())
    }

    fn digits(self) -> usize {
        match self {
            Self::Ratio(..) | Self::Instructions(..) | Self::Update(_) => 2,
            Self::Allocations(..) | Self::Memory(_) | Self::Pick(_) => 1,
            Self::LayersTime | Self::LayersAllocations => 0,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::LayersTime | Self::Pick(_) => " ns",
            Self::Memory(_) => " KiB",
            Self::Update(_) => " ms",
            _ => "",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ours, theirs, figure, cell) => {
                let (figure, conditions) = (name(*figure), conditions(*cell));
                write!(f, "`{ours}` / `{theirs}`, {figure}, {conditions}")
            }
            Self::Instructions(ours, theirs, cell) => {
                let conditions = conditions(*cell);
                write!(f, "`{ours}` / `{theirs}`, instructions, {conditions}")
            }
            Self::Allocations(ours, cell) => {
                write!(f, "`{ours}`, allocations per call, {}", conditions(*cell))
            }
            Self::Pick(1) => {
                f.write_str("pick, the slowest policy but ring_hash, up to 10 000 endpoints")
            }
            Self::Pick(_) => f.write_str("the same of each of two threads"),
            Self::Update(1) => f.write_str("one of 10 000 endpoints changes"),
            Self::Update(count) => {
                let count = number(*count as f64, 0);
                write!(f, "{count} of 10 000 endpoints change")
            }
            Self::LayersTime => f.write_str("all layers with a deadline, alone"),
            Self::LayersAllocations => f.write_str("the same, allocations"),
            Self::Memory(MemoryKind::Ready) => f.write_str("idle connection, resident memory"),
            Self::Memory(MemoryKind::Used) => {
                f.write_str("idle connection after calls, resident memory")
            }
            Self::Memory(MemoryKind::Unconnected) => {
                f.write_str("endpoint without a connection, resident memory")
            }
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values.iter().copied()).map(|spread| spread.median)
}

/// A cell without its server, which has a column of its own.
fn conditions(cell: Cell) -> Cell {
    Cell {
        server: ServerKind::Canned,
        ..cell
    }
}

/// What a ratio is of.
fn name(figure: Figure) -> &'static str {
    match figure {
        Figure::Cpu => "client CPU",
        Figure::Throughput => "calls per second",
        Figure::P50 => "p50",
        Figure::P99 => "p99",
        Figure::Rss => "resident memory",
    }
}
