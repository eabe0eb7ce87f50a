//! Builds each program alone: cargo unifies features within one build, and what one contender
//! needs would slow another.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::catalog::{Contender, Source};
use super::{CARGO, folder};

/// The programs that are built.
#[derive(Debug, Default)]
pub(super) struct Programs {
    paths: HashMap<&'static str, PathBuf>,
}

impl Programs {
    /// Builds a contender.
    ///
    /// # Errors
    ///
    /// Why it cannot be built.
    pub(super) fn build(&mut self, contender: &Contender) -> Result<(), String> {
        let name = format!("contender-{}", contender.name);
        let path = match contender.source {
            Source::Here(package) => cargo(&folder().join("Cargo.toml"), package, &name)?,
            Source::Peers(package) => cargo(&folder().join("peers/Cargo.toml"), package, &name)?,
            Source::Go => go(&name)?,
        };
        self.paths.insert(contender.name, path);
        Ok(())
    }

    /// Where a contender's program is, if it was built.
    pub(super) fn path(&self, contender: &Contender) -> Option<&Path> {
        self.paths.get(contender.name).map(PathBuf::as_path)
    }
}

/// Builds a program of a package, and says where it is.
pub(super) fn cargo(manifest: &Path, package: &str, program: &str) -> Result<PathBuf, String> {
    let mut command = Command::new(CARGO);
    command
        .args(["build", "--quiet", "--locked", "--profile", "bench"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--package", package, "--bin", program, "--manifest-path"])
        .arg(manifest);
    let output = output(&mut command)?;
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == program)
        .find_map(|message| Some(message["executable"].as_str()?.into()))
        .ok_or_else(|| format!("cargo does not say where {program} is"))
}

fn go(program: &str) -> Result<PathBuf, String> {
    let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| {
        let mut version = Command::new(go);
        version.arg("version").stdout(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    });
    let Some(go) = go else {
        return Err("Go is not installed: https://go.dev/doc/install".to_owned());
    };
    let source = folder().join("peers/go");
    let path = source.join(program);
    let mut command = Command::new(go);
    command.arg("build").arg("-C").arg(&source).arg("-o");
    output(command.arg(&path).arg("."))?;
    Ok(path)
}

/// Runs a command to its end, and gives what it wrote.
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let name = Path::new(command.get_program()).file_name();
    let name = name
        .unwrap_or_else(|| OsStr::new("it"))
        .to_string_lossy()
        .into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}
