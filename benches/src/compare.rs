//! Runs all contenders over all cells and writes what was found: the one command of the benches.
//!
//! | argument | |
//! |---|---|
//! | `--cell 64x4` | only this cell, callers x endpoints: unary, one worker, canned servers |
//! | `--shape stream`, `--workers 2`, `--server tonic` | changes to that cell |
//! | `--only h2,evenkeel` | only these contenders |
//! | `--rounds 7`, `--millis 300` | how many rounds, and how long each is for each contender |
//! | `--figures time,allocations` | only these: `time`, `allocations`, `instructions`, `memory`, `layers`, `picks` |
//! | `--profiles DIRECTORY` | where callgrind's profiles stay |
//! | `--list` | says which contenders there are |
//!
//! A run of everything writes the folder `docs/performance`; a part of it is only printed. So is a
//! part's JSON kept, in `benches/target`.

mod build;
mod catalog;
mod count;
mod layers;
mod machine;
mod memory;
mod options;
mod picks;
mod print;
mod process;
mod server;
mod time;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use build::Programs;
use options::{Figures, Options};

use crate::cell::{self, Cell};
use crate::report;
use crate::results::{CellResult, Results, Skipped};

/// The whole program.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        for contender in catalog::ALL {
            println!("{:<22} {}", contender.name, contender.what);
        }
        return ExitCode::SUCCESS;
    }
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

const CARGO: &str = "cargo";

/// The folder of this workspace.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compare(options: &Options) -> io::Result<()> {
    let mut run = Run {
        options,
        programs: Programs::default(),
        results: Results {
            machine: machine::this(),
            rounds: options.rounds,
            millis: options.millis,
            ..Results::default()
        },
        failed: HashSet::new(),
    };
    run.build();
    for cell in options.cells() {
        run.cell(cell)?;
    }
    if options.measures(Figures::INSTRUCTIONS) {
        run.instructions()?;
    }
    if options.measures(Figures::MEMORY) {
        run.memory()?;
    }
    if options.measures(Figures::LAYERS) {
        run.layers();
    }
    if options.measures(Figures::PICKS) {
        run.picks();
    }
    run.write()
}

/// A run on its way.
struct Run<'a> {
    options: &'a Options,
    programs: Programs,
    results: Results,
    /// Contenders that failed once are not tried again in the same cell.
    failed: HashSet<(String, Cell)>,
}

impl Run<'_> {
    /// Builds the servers and every contender, each alone.
    fn build(&mut self) {
        for contender in catalog::ALL {
            if !self.options.has(contender) {
                continue;
            }
            eprintln!("building {}", contender.name);
            match self.programs.build(contender) {
                Ok(()) if contender.ranked => {
                    self.results.contenders.push(contender.described());
                }
                Ok(()) => {}
                Err(reason) => self.skip(contender.name, "everything", reason),
            }
        }
    }

    fn skip(&mut self, contender: &str, what: impl ToString, reason: String) {
        let what = what.to_string();
        eprintln!("SKIPPED {contender}, {what}: {reason}");
        self.results.skipped.push(Skipped {
            contender: contender.to_owned(),
            what,
            reason,
        });
    }

    /// What is in the tables, in their order, and could be built.
    fn ranked(&self) -> Vec<&'static catalog::Contender> {
        let built = |contender: &&catalog::Contender| {
            contender.ranked && self.programs.path(contender).is_some()
        };
        catalog::ALL.iter().filter(built).collect()
    }

    /// The result of a cell, which is made if there is none.
    fn result(&mut self, cell: Cell) -> &mut CellResult {
        let cells = &mut self.results.cells;
        let place = cells.iter().position(|result| result.cell == cell);
        let place = place.unwrap_or_else(|| {
            let rows = Vec::new();
            cells.push(CellResult { cell, rows });
            cells.len() - 1
        });
        &mut cells[place]
    }

    fn write(&self) -> io::Result<()> {
        let json = serde_json::to_string_pretty(&self.results)?;
        if self.options.is_whole() {
            let docs: PathBuf = folder().join("../docs/performance");
            fs::create_dir_all(&docs)?;
            fs::write(docs.join("results.json"), json + "\n")?;
            report::write(&self.results, &docs)?;
            eprintln!("written to docs/performance");
            return Ok(());
        }
        let target = folder().join("target");
        fs::create_dir_all(&target)?;
        fs::write(target.join("results.json"), json + "\n")
    }
}

/// Where instructions are counted: in the cell that was asked for, or in the usual ones.
fn counted(options: &Options) -> Vec<Cell> {
    match options.cell {
        Some(cell) => vec![cell],
        None => cell::INSTRUCTIONS.to_vec(),
    }
}
