//! What is written in Go: grpc-go's own interop server, and users of registries in etcd.

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
    start("go", &[]).await
}

/// A server and client that uses etcd's own Go client for naming.
///
/// # Errors
///
/// As [`server`].
pub(crate) async fn naming(etcd: &EtcdServer, service: &str) -> Result<Process, String> {
    start("naming", &[&etcd.endpoint(), service]).await
}

/// A server and client that is an application of Kratos.
///
/// # Errors
///
/// As [`server`].
pub(crate) async fn kratos(etcd: &EtcdServer, service: &str) -> Result<Process, String> {
    start("kratos", &[&etcd.endpoint(), service]).await
}

/// A publisher and subscriber of go-zero.
///
/// # Errors
///
/// As [`server`].
pub(crate) async fn gozero(etcd: &EtcdServer) -> Result<Process, String> {
    start("gozero", &[&etcd.endpoint()]).await
}

async fn start(name: &str, arguments: &[&str]) -> Result<Process, String> {
    let mut program = Command::new(binary(name).await?);
    program.args(arguments);
    Ok(Process::start(program).await)
}

/// The program in the folder of that name, built.
async fn binary(name: &str) -> Result<PathBuf, String> {
    let Some(go) = skip::find("go") else {
        return Err("go is not installed".to_owned());
    };
    build(&go, name).await
}

/// What files are called that a program is made of.
const SOURCES: [&str; 3] = ["go", "mod", "sum"];

async fn build(go: &Path, name: &str) -> Result<PathBuf, String> {
    let sources = folder(name);
    let mut files: Vec<_> = std::fs::read_dir(&sources).unwrap().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().file_name());
    let files = files.into_iter().map(|file| file.unwrap().path());
    let is_source = |file: &PathBuf| {
        file.extension()
            .is_some_and(|it| SOURCES.iter().any(|s| it == *s))
    };
    let files = files
        .filter(is_source)
        .map(|file| std::fs::read(file).unwrap());
    let files: Vec<_> = files.collect();
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
