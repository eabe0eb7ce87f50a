//! Turns the results of a run into a page of tables, with the goals among them, and a chart.
//!
//! Everything on them is computed from the results: nothing is typed by hand.

mod chart;
mod goals;
mod page;
mod table;
mod tables;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::{fs, io};

use crate::cell::Cell;
use crate::results::Results;

/// The page's file.
pub const PAGE: &str = "results.md";
/// The chart's file, beside the page.
pub const CHART: &str = "client-cpu.svg";

/// Evenkeel's channel with a deadline, a retry policy, round robin and breakers.
const EVERYTHING: &str = "evenkeel";
/// Evenkeel's channel with round robin, as it comes otherwise.
const ROUND_ROBIN: &str = "evenkeel_round_robin";
/// Measured and shown, but never in units of another: it waits most of the time.
const AS_SHIPPED: &str = "grpc_as_shipped";

/// Writes [`PAGE`] and [`CHART`] into a folder, which is made if it is not there.
///
/// # Errors
///
/// When they cannot be written.
pub fn write(results: &Results, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(PAGE), page::page(results))?;
    fs::write(folder.join(CHART), chart::chart(results))
}

fn is_evenkeel(contender: &str) -> bool {
    contender.starts_with("evenkeel")
}

/// So many callers over so many endpoints; unary, one worker, canned servers.
fn unary(callers: usize, endpoints: usize) -> Cell {
    Cell {
        callers,
        endpoints,
        ..Cell::default()
    }
}
