//! Holds what the call path costs to its budgets: instructions, by valgrind, and allocations.
//! Nothing here reads a clock, so that it says the same on a busy machine.
//!
//! | arguments | |
//! |---|---|
//! | none | counts, compares with `budgets`, and fails when a budget is exceeded |
//! | `--record` | lowers the budgets to what is counted now |
//! | `--record --because REASON` | raises them as well, with a line in `CHANGELOG.md` |
//!
//! It starts itself twice: `--serve` answers calls, in a process of its own, since only the
//! client's cost is held; `--count` makes the calls, alone and then in callgrind.

mod budget;
mod changelog;
mod check;
mod count;
mod machine;
mod profile;
mod steady;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use budget::Budgets;
use machine::Machine;

/// What a failure is, in words.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => check(),
        ["--record"] => record(None),
        ["--record", "--because", reason] => record(Some(reason)),
        ["--serve"] => steady::serve().map_err(Into::into),
        ["--count", address] => steady::count(address),
        _ => Err("arguments: none, --record, or --record --because REASON".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), Failure> {
    let text = read(&budgets())?;
    let budgets: Budgets = text.parse()?;
    // First, because it takes no time.
    changelog::says(&read(&changelog())?, &budget::digest(&text))?;
    let machine = Machine::here();
    let instructions = machine.counts_as(&budgets.machine);
    if let Err(reason) = &instructions {
        println!("SKIPPED instructions of the call path: {reason}");
    }
    let counted = count::all(instructions.is_ok())?;
    let verdict = check::compare(&budgets, &counted);
    print!("{}", verdict.table);
    match verdict.exceeded {
        None => Ok(()),
        Some(exceeded) => Err(exceeded.into()),
    }
}

fn record(reason: Option<&str>) -> Result<(), Failure> {
    if let Err(reason) = machine::valgrind() {
        return Err(reason.into());
    }
    let old = fs::read_to_string(budgets()).unwrap_or_default();
    let log = read(&changelog())?;
    let counted = count::all(true)?;
    let none = || Budgets {
        machine: Machine::default(),
        figures: Vec::new(),
    };
    let old = old.parse().unwrap_or_else(|_| none());
    let (new, raised) = old.next(Machine::here(), &counted);
    let text = new.to_string();
    let log = changelog::record(&log, &budget::digest(&text), &raised, reason)?;
    fs::write(budgets(), text)?;
    fs::write(changelog(), log)?;
    print!("{new}");
    Ok(())
}

fn budgets() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/budgets").into()
}

fn changelog() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../CHANGELOG.md").into()
}

fn read(path: &PathBuf) -> io::Result<String> {
    let named = |error| io::Error::other(format!("{}: {error}", path.display()));
    fs::read_to_string(path).map_err(named)
}
