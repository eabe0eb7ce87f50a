//! A server on gRPC's Python library.

use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_testkit::skip;

use crate::build::{fetch, folder, once};
use crate::process::Process;

/// The server.
///
/// # Errors
///
/// Why there is none: Python, or what the server is made of, cannot be had.
pub(crate) async fn server() -> Result<Process, String> {
    let Some(python) = skip::find("python3") else {
        return Err("python3 is not installed".to_owned());
    };
    let mut server = Command::new(environment(&python).await?.join("bin/python"));
    server.arg(folder("python").join("server.py"));
    server.arg(folder("../../proto"));
    Ok(Process::start(server).await)
}

/// A virtual environment that has what the server needs.
async fn environment(python: &Path) -> Result<PathBuf, String> {
    let requirements = folder("python").join("requirements.txt");
    let wanted = std::fs::read(&requirements).unwrap();
    // It is of one Python.
    let mut version = tokio::process::Command::new(python);
    version.args(["-c", "import sys; print(sys.version, sys.base_prefix)"]);
    let version = fetch("python3", &mut version).await?;
    once("interop-python", &[wanted, version], async |place| {
        let mut create = tokio::process::Command::new(python);
        create.args(["-m", "venv"]).arg(place);
        fetch("python3 -m venv", &mut create).await?;
        let mut install = tokio::process::Command::new(place.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"]);
        install.args(["--disable-pip-version-check", "--requirement"]);
        install.arg(&requirements);
        fetch("pip install grpcio", &mut install).await.map(drop)
    })
    .await
}
