//! What is written in Go: grpc-go's own interop server, and a user of etcd's client.

use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_testkit::{EtcdServer, skip};

use crate::build::{fetch, folder, make, once};
use crate::process::Process;

/// grpc-go's interop server.
///
/// # Errors
///
/// Why there is none: Go, or what the server is made of, cannot be had.
pub(crate) async fn server() -> Result<Process, String> {
    let server = Command::new(binary("go").await?);
    Ok(Process::start(server).await)
}

/// A server and client that uses etcd's own Go client for naming.
///
/// # Errors
///
/// As [`server`].
pub(crate) async fn naming(etcd: &EtcdServer, service: &str) -> Result<Process, String> {
    let mut naming = Command::new(binary("naming").await?);
    naming.args([&etcd.endpoint(), service]);
    Ok(Process::start(naming).await)
}

/// The program in the folder of that name, built.
async fn binary(name: &str) -> Result<PathBuf, String> {
    let Some(go) = skip::find("go") else {
        return Err("go is not installed".to_owned());
    };
    build(&go, name).await
}

async fn build(go: &Path, name: &str) -> Result<PathBuf, String> {
    let sources = folder(name);
    let read = |file| std::fs::read(sources.join(file)).unwrap();
    let files = ["go.mod", "go.sum", "main.go"].map(read);
    let command = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(go);
        command.args(arguments).current_dir(&sources);
        // It needs no C compiler then.
        command.env("CGO_ENABLED", "0");
        command
    };
    once(&format!("interop-{name}"), &files, async |place| {
        fetch("go mod download", &mut command(&["mod", "download"])).await?;
        let mut build = command(&["build", "-o"]);
        make("go build", build.arg(place).arg(".")).await
    })
    .await
}
