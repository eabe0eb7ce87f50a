//! The page of tables.

use std::fmt::Write;

use super::table::Table;
use super::{CHART, goals, tables};
use crate::cell::{Cell, ServerKind};
use crate::results::{CellResult, Results};

pub(super) fn page(results: &Results) -> String {
    let mut page = head(results);
    section(&mut page, "Goals", GOALS, &goals::table(results));
    for family in families(results) {
        let name = title(family[0].cell);
        let table = tables::cost(results, &family);
        let note = if family[0].cell.server == ServerKind::Canned {
            COST
        } else {
            REAL
        };
        section(&mut page, &format!("Client CPU, {name}"), note, &table);
        let table = tables::throughput(results, &family);
        let name = format!("Calls per second and latency, {name}");
        section(&mut page, &name, THROUGHPUT, &table);
    }
    section(
        &mut page,
        "Instructions",
        INSTRUCTIONS,
        &tables::instructions(results),
    );
    section(
        &mut page,
        "Allocations",
        ALLOCATIONS,
        &tables::allocations(results),
    );
    section(&mut page, "Idle memory", MEMORY, &tables::memory(results));
    section(&mut page, "Layers alone", LAYERS, &tables::layers(results));
    section(&mut page, "Picks", PICKS, &tables::picks(results));
    section(
        &mut page,
        "Changes of endpoints",
        UPDATES,
        &tables::updates(results),
    );
    section(
        &mut page,
        "Not measured",
        SKIPPED,
        &tables::skipped(results),
    );
    section(&mut page, "Contenders", "", &tables::contenders(results));
    page
}

const GOALS: &str = "A ratio is the median of the rounds' ratios, with the smallest and the \
    largest; the median counts. `evenkeel` has a deadline, a retry policy and breakers, \
    `evenkeel_round_robin` nothing but what a channel comes with.";
const COST: &str = "µs of the client's process per call, user and kernel, and in units of raw \
    `h2`. The servers answer prepared frames in 1 to 2 µs, so that the client is the bottleneck: \
    what it costs, not what its user gains.";
const REAL: &str = "µs of the client's process per call, user and kernel, and in units of raw \
    `h2`. tonic's servers do more per call than these clients, which therefore often wait: that \
    narrows the distances.";
const THROUGHPUT: &str = "Calls (or streams) per second, then the median and the 99th percentile \
    of the latency in µs: medians of the rounds. Each caller makes one call after the other, so \
    with many callers a latency says no more than the throughput does.";
const INSTRUCTIONS: &str = "Per call, user space only, by callgrind, and in units of raw `h2`. \
    Canned servers. They repeat to about 1 %, also on a busy machine.";
const ALLOCATIONS: &str = "Heap allocations per call, then their bytes. Canned servers unless \
    the column says otherwise. A reallocation counts as one. Go's are those that its runtime counts.";
const MEMORY: &str = "Bytes of the client's resident memory that one more endpoint takes.";
const LAYERS: &str = "Evenkeel's layers over endpoints that do nothing, added to what the call \
    takes without them.";
const PICKS: &str = "ns of the thread's CPU time per pick, every LB policy alone, with the smallest \
    and the largest round. Of two threads that share a picker, the slower one's.";
const UPDATES: &str = "CPU time from the first change of an endpoint to the snapshot that shows the \
    last.";
const SKIPPED: &str = "Who and what is missing above, and why.";

/// Adds a section, unless its table has nothing to show.
fn section(page: &mut String, title: &str, note: &str, table: &Table) {
    if table.is_empty() {
        return;
    }
    let note = if note.is_empty() {
        String::new()
    } else {
        format!("{note}\n\n")
    };
    let _ = write!(page, "\n## {title}\n\n{note}{table}");
}

fn head(results: &Results) -> String {
    let Results {
        machine,
        rounds,
        millis,
        ..
    } = results;
    format!(
        "# Results\n\n\
         Written by the [benches](../../benches/README.md): not to be edited.\n\n\
         {processor}, {cores} cores, {system}, {rustc}. In each of {rounds} rounds every contender \
         runs for {millis} ms in a process of its own, by turns; the clients have one core, the \
         servers the other.\n\n\
         ![Client CPU per call in units of raw h2, for each contender]({CHART})\n",
        processor = machine.processor,
        cores = machine.cores,
        system = machine.system,
        rustc = machine.rustc,
    )
}

/// Cells that differ in nothing but callers and endpoints, in their order.
fn families(results: &Results) -> Vec<Vec<&CellResult>> {
    let alike =
        |a: &Cell, b: &Cell| (a.workers, a.shape, a.server) == (b.workers, b.shape, b.server);
    let mut families: Vec<Vec<&CellResult>> = Vec::new();
    let timed = |cell: &&CellResult| cell.rows.iter().any(|row| !row.rounds.is_empty());
    for result in results.cells.iter().filter(timed) {
        let family = families
            .iter_mut()
            .find(|family| alike(&family[0].cell, &result.cell));
        match family {
            Some(family) => family.push(result),
            None => families.push(vec![result]),
        }
    }
    families
}

/// What a family has in common: `unary, 2 workers, canned servers`.
fn title(cell: Cell) -> String {
    let workers = match cell.workers {
        1 => String::new(),
        workers => format!(", {workers} workers"),
    };
    format!("{}{workers}, {} servers", cell.shape, cell.server)
}
