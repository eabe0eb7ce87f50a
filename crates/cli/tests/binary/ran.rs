use std::process::{Output, Stdio};

use evenkeel_testkit::within;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How a run of `evenkeel` has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn evenkeel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command
        .args(args)
        .env_remove("ETCDCTL_PASSWORD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn run(args: &[&str]) -> Ran {
    finish(evenkeel(args)).await
}

pub(crate) async fn finish(mut command: Command) -> Ran {
    // Not `output`, which takes the standard output wherever it goes.
    let child = command.spawn().unwrap();
    ran(within("the end of the process", child.wait_with_output())
        .await
        .unwrap())
}

/// With `input` on the standard input.
pub(crate) async fn run_with(args: &[&str], input: &str) -> Ran {
    let mut child = evenkeel(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    ran(within("the end of the process", child.wait_with_output())
        .await
        .unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
