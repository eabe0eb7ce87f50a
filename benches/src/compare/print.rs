//! What a part of a run prints.

use crate::results::{CellResult, Figure, REFERENCE};

/// A table of what a cell has so far.
pub(super) fn cell(result: &CellResult) {
    println!("\n{}\n", result.cell);
    println!(
        "| contender | CPU us per call | / {REFERENCE} | calls per s | p50 us | p99 us | allocations | bytes \
         | instructions | / {REFERENCE} |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for row in &result.rows {
        let name = &row.contender;
        let median = |figure, decimals| {
            let spread = row.spread(figure);
            number(spread.map(|spread| spread.median), decimals)
        };
        let ratio = result.ratio(name, REFERENCE, Figure::Cpu);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            median(Figure::Cpu, 2),
            ratio.map_or_else(|| "-".to_owned(), |ratio| ratio.to_string()),
            median(Figure::Throughput, 0),
            median(Figure::P50, 0),
            median(Figure::P99, 0),
            number(row.allocations, 1),
            number(row.allocated_bytes, 0),
            number(row.instructions, 0),
            number(result.instructions_ratio(name, REFERENCE), 3),
        );
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}
