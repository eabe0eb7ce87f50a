//! grpc-go's own interop server.

use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_testkit::skip;

use crate::build::{fetch, folder, make, once};
use crate::process::Process;

/// The server.
///
/// # Errors
///
/// Why there is none: Go, or what the server is made of, cannot be had.
pub(crate) async fn server() -> Result<Process, String> {
    let Some(go) = skip::find("go") else {
        return Err("go is not installed".to_owned());
    };
    let server = Command::new(binary(&go).await?);
    Ok(Process::start(server).await)
}

async fn binary(go: &Path) -> Result<PathBuf, String> {
    let sources = folder("go");
    let read = |name| std::fs::read(sources.join(name)).unwrap();
    let files = ["go.mod", "go.sum", "main.go"].map(read);
    let command = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(go);
        command.args(arguments).current_dir(&sources);
        // It needs no C compiler then.
        command.env("CGO_ENABLED", "0");
        command
    };
    once("interop-go", &files, async |place| {
        fetch("go mod download", &mut command(&["mod", "download"])).await?;
        let mut build = command(&["build", "-o"]);
        make("go build", build.arg(place).arg(".")).await
    })
    .await
}
