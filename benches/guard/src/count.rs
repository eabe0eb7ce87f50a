//! Starts the processes that are counted, alone for allocations and in callgrind for instructions.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::budget::Figure;
use crate::{Failure, profile};

/// What the names of layers begin with.
pub(crate) const LAYERS: &str = "added by layers: ";
/// What is under each of them.
const UNDER_LAYERS: &str = "added by layers: endpoint alone";
/// Tells the process that is counted where it runs.
const IN_CALLGRIND: &str = "GUARD_IN_CALLGRIND";

pub(crate) fn in_callgrind() -> bool {
    env::var_os(IN_CALLGRIND).is_some()
}

/// Everything that has a budget.
pub(crate) fn all(instructions: bool) -> Result<Vec<Figure>, Failure> {
    let this = env::current_exe()?;
    let servers = Servers::start(&this)?;
    let addresses = servers.addresses.join(",");
    let alone = output(Command::new(&this).args(["--count", &addresses]))?;
    let mut figures = Vec::new();
    for line in alone.lines() {
        let (allocations, name) = line.split_once(' ').ok_or("a number and a name")?;
        let allocations: f64 = allocations.parse()?;
        figures.push(Figure {
            name: name.to_owned(),
            instructions: None,
            allocations: (allocations * 10.0).round() / 10.0,
        });
    }
    if instructions {
        let profiles = Profiles::new()?;
        profiles.fill(&this, &addresses, &mut figures)?;
    }
    added(&mut figures)?;
    Ok(figures)
}

/// Leaves of each stack of layers what it adds to the endpoint that it is over, which is not ours.
fn added(figures: &mut Vec<Figure>) -> Result<(), Failure> {
    let place = figures
        .iter()
        .position(|figure| figure.name == UNDER_LAYERS);
    let under = figures.remove(place.ok_or("the endpoint alone is not counted")?);
    for figure in figures {
        if figure.name.starts_with(LAYERS) {
            let both = figure.instructions.zip(under.instructions);
            figure.instructions = both.map(|(with, without)| with - without);
            figure.allocations -= under.allocations;
        }
    }
    Ok(())
}

/// The servers, until it is dropped.
struct Servers {
    process: Child,
    addresses: Vec<String>,
}

impl Servers {
    fn start(this: &Path) -> Result<Self, Failure> {
        let mut process = Command::new(this)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().expect("it is piped");
        let mut servers = Self {
            process,
            addresses: Vec::new(),
        };
        for line in BufReader::new(output)
            .lines()
            .take(crate::steady::ENDPOINTS)
        {
            servers.addresses.push(line?);
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It ends with its input; failing that, by force.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder of callgrind's profiles, until it is dropped.
struct Profiles(PathBuf);

impl Profiles {
    fn new() -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("evenkeel-guard-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Counts the instructions of each figure, in one run of callgrind.
    fn fill(&self, this: &Path, addresses: &str, figures: &mut [Figure]) -> Result<(), Failure> {
        let mut out = OsString::from("--callgrind-out-file=");
        out.push(self.0.join("out"));
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args([
                "--quiet",
                "--tool=callgrind",
                "--dump-before=*callgrind_mark*",
            ])
            .arg(out)
            .arg(this)
            .args(["--count", addresses])
            .env(IN_CALLGRIND, "1");
        let counted = output(&mut valgrind)?;
        let counted: Vec<_> = counted.lines().collect();
        if counted.len() != figures.len() {
            return Err("callgrind's run does not count what the other does".into());
        }
        for (place, (line, figure)) in counted.into_iter().zip(figures).enumerate() {
            let (calls, name) = line.split_once(' ').ok_or("a number and a name")?;
            if name != figure.name {
                return Err(format!("callgrind's run counts `{name}` at another place").into());
            }
            // Each mark ends a profile: those before the runs and those of the runs by turns.
            let profile = self.0.join(format!("out.{}", 2 * place + 2));
            let calls: f64 = calls.parse()?;
            let sum = profile::instructions(&fs::read_to_string(profile)?)?;
            figure.instructions = Some(sum as f64 / calls);
        }
        Ok(())
    }
}

impl Drop for Profiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command to its end, and gives what it wrote.
fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!(
            "{} failed: {}",
            command.get_program().display(),
            output.status
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
