//! The tables of the page, but for the goals.

use std::iter::once;

use super::table::{NONE, Table, number, or_none};
use super::{AS_SHIPPED, is_evenkeel};
use crate::cell::Cell;
use crate::results::{CellResult, Figure, MemoryKind, REFERENCE, Results, Row};
use crate::stats::Spread;

/// What tells a cell from its family.
fn load(cell: Cell) -> String {
    format!("{}x{}", cell.callers, cell.endpoints)
}

/// Those of all contenders that took part in any of these cells.
fn present<'a>(results: &'a Results, cells: &[&CellResult]) -> impl Iterator<Item = &'a str> {
    let took_part = |name: &&str| cells.iter().any(|cell| cell.row(name).is_some());
    let names = results.contenders.iter().map(|contender| &*contender.name);
    names.filter(took_part).collect::<Vec<_>>().into_iter()
}

/// A table of contenders with a field for each of these cells.
fn by_contender(
    results: &Results,
    cells: &[&CellResult],
    heads: impl IntoIterator<Item = String>,
    fields: impl Fn(&CellResult, &str) -> Vec<String>,
) -> Table {
    let heads = once("callers x endpoints".to_owned()).chain(heads);
    let mut table = Table::new(heads);
    for name in present(results, cells) {
        let figures = cells.iter().flat_map(|cell| fields(cell, name));
        let row = once(format!("`{name}`")).chain(figures);
        table.row(is_evenkeel(name), row);
    }
    table
}

pub(super) fn cost(results: &Results, family: &[&CellResult]) -> Table {
    let heads = family
        .iter()
        .flat_map(|result| [load(result.cell), format!("{} / `h2`", load(result.cell))]);
    by_contender(results, family, heads, |result, name| {
        let row = result.row(name);
        let cpu = row.and_then(|row| row.spread(Figure::Cpu));
        let ratio = result.ratio(name, REFERENCE, Figure::Cpu);
        let ratio = ratio.filter(|_| name != AS_SHIPPED);
        vec![
            or_none(cpu.map(|cpu| cpu.median), 2),
            match ratio {
                Some(_) if name == REFERENCE => "1".to_owned(),
                Some(ratio) => ratio.to_string(),
                None => NONE.to_owned(),
            },
        ]
    })
}

pub(super) fn throughput(results: &Results, family: &[&CellResult]) -> Table {
    let heads = family.iter().flat_map(|result| {
        let load = load(result.cell);
        [load.clone(), format!("{load} p50"), format!("{load} p99")]
    });
    by_contender(results, family, heads, |result, name| {
        [Figure::Throughput, Figure::P50, Figure::P99]
            .into_iter()
            .map(|figure| {
                let spread = result.row(name).and_then(|row| row.spread(figure));
                or_none(spread.map(|spread| spread.median), 0)
            })
            .collect()
    })
}

pub(super) fn instructions(results: &Results) -> Table {
    let cells: Vec<_> = cells_with(results, |row| row.instructions.is_some());
    let heads = cells
        .iter()
        .flat_map(|result| [load(result.cell), format!("{} / `h2`", load(result.cell))]);
    by_contender(results, &cells, heads, |result, name| {
        let row = result.row(name);
        let ratio = result.instructions_ratio(name, REFERENCE);
        vec![
            or_none(row.and_then(|row| row.instructions), 0),
            or_none(ratio.filter(|_| name != AS_SHIPPED), 2),
        ]
    })
}

pub(super) fn allocations(results: &Results) -> Table {
    let cells: Vec<_> = cells_with(results, |row| row.allocations.is_some());
    let heads = cells
        .iter()
        .flat_map(|result| [result.cell.to_string(), "bytes".to_owned()]);
    by_contender(results, &cells, heads, |result, name| {
        let row = result.row(name);
        vec![
            or_none(row.and_then(|row| row.allocations), 1),
            or_none(row.and_then(|row| row.allocated_bytes), 0),
        ]
    })
}

fn cells_with(results: &Results, has: impl Fn(&Row) -> bool) -> Vec<&CellResult> {
    let cells = results.cells.iter();
    cells.filter(|cell| cell.rows.iter().any(&has)).collect()
}

pub(super) fn memory(results: &Results) -> Table {
    const KINDS: [MemoryKind; 3] = [MemoryKind::Ready, MemoryKind::Used, MemoryKind::Unconnected];
    let mut table = Table::new(["contender", "idle", "idle after calls", "not connected"]);
    for contender in &results.contenders {
        let of = results.memory.iter();
        let of: Vec<_> = of
            .filter(|memory| memory.contender == contender.name)
            .collect();
        if of.is_empty() {
            continue;
        }
        let figures = KINDS.iter().map(|kind| {
            let memory = of.iter().find(|memory| memory.kind == *kind);
            or_none(memory.map(|memory| memory.bytes_per_endpoint), 0)
        });
        let row = once(format!("`{}`", contender.name)).chain(figures);
        table.row(is_evenkeel(&contender.name), row);
    }
    table
}

pub(super) fn layers(results: &Results) -> Table {
    let heads = [
        "layers",
        "ns",
        "instructions",
        "allocations",
        "bytes",
        "bytes of the future",
    ];
    let mut table = Table::new(heads);
    let Some(alone) = results.layers.first() else {
        return table;
    };
    let added = |all: f64, alone: f64| number(all - alone, 0);
    for (place, layer) in results.layers.iter().enumerate() {
        let future = number(layer.future_bytes as f64, 0);
        let row = if place == 0 {
            [
                format!("{}, not added", layer.name),
                number(layer.ns, 0),
                or_none(layer.instructions, 0),
                layer.allocations.to_string(),
                number(layer.allocated_bytes as f64, 0),
                future,
            ]
        } else {
            let instructions = layer.instructions.zip(alone.instructions);
            [
                layer.name.clone(),
                number(layer.added_ns, 0),
                or_none(instructions.map(|(all, alone)| all - alone), 0),
                added(layer.allocations as f64, alone.allocations as f64),
                added(layer.allocated_bytes as f64, alone.allocated_bytes as f64),
                future,
            ]
        };
        table.row(false, row);
    }
    table
}

pub(super) fn skipped(results: &Results) -> Table {
    let mut table = Table::new(["contender", "what", "why"]);
    for skipped in &results.skipped {
        let contender = format!("`{}`", skipped.contender);
        table.row(
            false,
            [contender, skipped.what.clone(), skipped.reason.clone()],
        );
    }
    table
}

pub(super) fn contenders(results: &Results) -> Table {
    let mut table = Table::new(["contender", "what it is"]);
    for contender in &results.contenders {
        let name = format!("`{}`", contender.name);
        table.row(false, [name, contender.what.clone()]);
    }
    table
}

/// ns per pick.
pub(super) fn picks(results: &Results) -> Table {
    let heads = [
        "policy",
        "endpoints",
        "one thread",
        "each of two threads",
        "allocations",
    ];
    let mut table = Table::new(heads);
    for picks in &results.picks {
        let row = [
            format!("`{}`", picks.policy),
            number(picks.endpoints as f64, 0),
            spread(&picks.one_thread),
            spread(&picks.two_threads),
            number(picks.allocations, 0),
        ];
        table.row(false, row);
    }
    table
}

/// µs until changes are published.
pub(super) fn updates(results: &Results) -> Table {
    let heads = [
        "policy",
        "change",
        "of endpoints",
        "at once",
        "µs",
        "allocations",
    ];
    let mut table = Table::new(heads);
    for update in &results.updates {
        let row = [
            format!("`{}`", update.policy),
            update.change.clone(),
            number(update.endpoints as f64, 0),
            number(update.at_once as f64, 0),
            spread(&update.micros),
            number(update.allocations, 0),
        ];
        table.row(false, row);
    }
    table
}

fn spread(values: &[f64]) -> String {
    match Spread::of(values.iter().copied()) {
        Some(Spread {
            median,
            least,
            most,
        }) => format!(
            "{} ({}-{})",
            number(median, 1),
            number(least, 1),
            number(most, 1)
        ),
        None => NONE.to_owned(),
    }
}
