//! Picks alone and changes of endpoints, as the package `pick` measures them.

use std::fs;
use std::process::Command;

use serde::Deserialize;

use super::build::output;
use super::{CARGO, Run, folder};
use crate::results::{Picks, Update};

/// What its bench writes.
#[derive(Deserialize)]
struct Found {
    picks: Vec<Picks>,
    updates: Vec<Update>,
}

impl Run<'_> {
    pub(super) fn picks(&mut self) {
        match measure() {
            Ok(found) => {
                self.results.picks = found.picks;
                self.results.updates = found.updates;
            }
            Err(reason) => self.skip("picks", "everything", reason),
        }
    }
}

fn measure() -> Result<Found, String> {
    eprintln!("measuring picks");
    let target = folder().join("target");
    fs::create_dir_all(&target).map_err(|error| error.to_string())?;
    let json = target.join("picks.json");
    let mut command = Command::new(CARGO);
    command
        .args([
            "bench",
            "--quiet",
            "--locked",
            "--package",
            "evenkeel-bench-pick",
        ])
        .arg("--manifest-path")
        .arg(folder().join("Cargo.toml"))
        .args(["--", "--json"])
        .arg(&json);
    println!("{}", output(&mut command)?);
    let json = fs::read(&json).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}
