//! What is counted and not timed: allocations, and instructions by valgrind. Each figure is the
//! difference of two numbers of calls, so that connecting and warming up are not in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel_bench_harness::{self as harness, Shape};

use super::catalog::Contender;
use super::server::Servers;
use super::time::{CONNECT, PATIENCE, ask, command, start};
use super::{Run, counted, print};
use crate::cell::Cell;
use crate::results::Row;

/// A program under valgrind is some fifty times slower.
const SLOW: Duration = Duration::from_secs(600);

/// Two numbers of calls, equal for every caller.
fn calls(cell: Cell) -> (u64, u64) {
    let few = match cell.shape {
        Shape::Unary => 3_200,
        Shape::Unary16k => 1_600,
        Shape::Stream => 40,
    };
    let callers = cell.callers.max(1) as u64;
    let few = few.max(4 * callers).next_multiple_of(callers);
    (few, 3 * few)
}

impl Run<'_> {
    /// The row of a contender in a cell, which is made if there is none.
    fn row(&mut self, cell: Cell, contender: &Contender) -> &mut Row {
        let rows = &mut self.result(cell).rows;
        let place = rows.iter().position(|row| row.contender == contender.name);
        let place = place.unwrap_or_else(|| {
            rows.push(Row {
                contender: contender.name.to_owned(),
                ..Row::default()
            });
            rows.len() - 1
        });
        &mut rows[place]
    }

    pub(super) fn allocations(&mut self, cell: Cell, servers: &Servers) {
        for contender in self.ranked() {
            let failed = self.failed.contains(&(contender.name.to_owned(), cell));
            if failed || !contender.counted {
                continue;
            }
            let program = self.programs.path(contender).expect("it was built");
            let mut command = command(program, cell, servers);
            match allocations(command.arg("--count"), cell) {
                Ok(Some((count, bytes))) => {
                    let row = self.row(cell, contender);
                    row.allocations = Some(count);
                    row.allocated_bytes = Some(bytes);
                }
                Ok(None) => {}
                Err(reason) => self.skip_cell(contender, cell, reason),
            }
        }
    }

    /// Instructions per call, user space only.
    pub(super) fn instructions(&mut self) -> io::Result<()> {
        let valgrind = Command::new("valgrind")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if !valgrind.is_ok_and(|status| status.success()) {
            let reason = "valgrind is not installed".to_owned();
            self.skip("all", "instructions", reason);
            return Ok(());
        }
        let profiles = self.options.profiles();
        fs::create_dir_all(&profiles)?;
        for cell in counted(self.options) {
            let servers = Servers::start(cell.server, cell.endpoints, cell.shape)?;
            for contender in self.ranked() {
                if !contender.runs_in_valgrind() {
                    let reason = "valgrind does not run Go programs".to_owned();
                    self.skip(contender.name, format!("instructions, {cell}"), reason);
                    continue;
                }
                if !contender.counted {
                    continue;
                }
                eprintln!("counting {}, {cell}", contender.name);
                let program = self.programs.path(contender).expect("it was built");
                let command = command(program, cell, &servers);
                let (few, many) = calls(cell);
                let profile = |calls: u64| {
                    let name = format!("{}.{cell}.{calls}", contender.name);
                    profiles.join(name.replace([' ', ','], "_"))
                };
                let counted = instructions(&command, few, &profile(few)).and_then(|before| {
                    let after = instructions(&command, many, &profile(many))?;
                    Ok(after.saturating_sub(before) as f64 / (many - few) as f64)
                });
                match counted {
                    Ok(each) => self.row(cell, contender).instructions = Some(each),
                    Err(reason) => {
                        self.skip(contender.name, format!("instructions, {cell}"), reason);
                    }
                }
            }
            print::cell(self.result(cell));
        }
        eprintln!("profiles, for callgrind_annotate: {}", profiles.display());
        Ok(())
    }
}

/// Allocations per call and their bytes; `None` when it cannot count them.
fn allocations(command: &mut Command, cell: Cell) -> Result<Option<(f64, f64)>, String> {
    let mut process = start(command, CONNECT)?;
    let (few, many) = calls(cell);
    let mut count = |calls| {
        let answer = ask(&mut process, harness::Command::Calls(calls), PATIENCE)?;
        let counted = answer.allocations.zip(answer.allocated_bytes);
        Ok::<_, String>(counted.map(|(count, bytes)| (count as f64, bytes as f64)))
    };
    let (before, after) = (count(few)?, count(many)?);
    let calls = (many - few) as f64;
    Ok(before
        .zip(after)
        .map(|(before, after)| ((after.0 - before.0) / calls, (after.1 - before.1) / calls)))
}

/// The instructions of a whole run with so many calls.
fn instructions(command: &Command, calls: u64, profile: &PathBuf) -> Result<u64, String> {
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(profile);
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--tool=callgrind")
        .arg(file)
        .arg(command.get_program())
        .args(command.get_args());
    let mut process = start(&mut valgrind, SLOW)?;
    ask(&mut process, harness::Command::Calls(calls), SLOW)?;
    process.end(SLOW)?;
    total(profile)
}

/// What callgrind says at the end of a profile.
pub(super) fn total(profile: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(profile).map_err(|error| error.to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| "the profile has no total".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_makes_the_same_number_of_calls() {
        for cell in crate::cell::ALL {
            let (few, many) = calls(cell);
            assert_eq!(few % cell.callers as u64, 0, "{cell}");
            assert_eq!(many % cell.callers as u64, 0, "{cell}");
            assert!(many > few, "{cell}");
        }
    }
}
