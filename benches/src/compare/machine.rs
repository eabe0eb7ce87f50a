use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use super::build::output;
use crate::results::Machine;

/// What this runs on; what the system does not say is `unknown`.
pub(super) fn this() -> Machine {
    let said = |command: &mut Command| match output(command) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    };
    Machine {
        processor: processor().unwrap_or_else(|| "unknown".to_owned()),
        cores: available_parallelism().map_or(0, usize::from),
        system: said(Command::new("uname").arg("-sr")),
        rustc: said(Command::new("rustc").arg("--version")),
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
