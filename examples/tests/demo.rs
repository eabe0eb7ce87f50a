//! The demo as its users run it: as processes.

#![expect(clippy::unwrap_used, reason = "a test's own processes")]

use std::process::Stdio;

use evenkeel_testkit::{EtcdServer, port, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The exit code, the standard output and the standard error.
async fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let output = within("the end of the process", command.output())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A process that runs, and the lines it prints.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = demo(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that has `part` in it.
    async fn line_with(&mut self, part: &str) -> String {
        within(&format!("a line with {part:?}"), async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.expect("the process prints more lines");
                if line.contains(part) {
                    return line;
                }
            }
        })
        .await
    }

    /// Presses Ctrl-C.
    fn interrupt(&self) {
        let id = self.child.id().expect("the process runs");
        let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(id, Signal::INT).unwrap();
    }

    async fn code(mut self) -> Option<i32> {
        let status = within("the end of the process", self.child.wait()).await;
        status.unwrap().code()
    }
}

fn assert_passed((code, out, err): &(Option<i32>, String, String)) {
    assert_eq!(*code, Some(0), "{out}\n{err}");
    assert!(
        out.contains("passed: no call failed that should not have"),
        "{out}"
    );
    for phase in [
        "steady",
        "kill",
        "restart",
        "weight",
        "drain",
        "exhausted",
        "hang",
        "grow back",
    ] {
        assert!(
            out.contains(&format!("== {phase}: ")),
            "no {phase} in:\n{out}"
        );
    }
}

#[tokio::test]
async fn the_demo_passes_in_memory() {
    assert_passed(&finish(demo(&["--seconds", "6"])).await);
}

#[tokio::test]
async fn the_demo_passes_over_etcd() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    assert_passed(&finish(demo(&["--seconds", "6", "--etcd", &etcd.endpoint()])).await);
}

#[tokio::test]
async fn servers_callers_and_watchers_meet_in_etcd() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let url = etcd.endpoint();
    let mut watch = Running::start(&["watch", "--etcd", &url]);
    let mut servers = Vec::new();
    for weight in ["10", "30"] {
        let mut server = Running::start(&["serve", "--etcd", &url, "--weight", weight]);
        let line = server.line_with("serves user-service").await;
        let address = line.split(' ').next().unwrap().to_owned();
        watch.line_with(&address).await;
        servers.push((server, address));
    }

    let calls = ["call", "--etcd", &url, "--count", "40", "--rate", "200"];
    let (code, out, err) = finish(demo(&calls)).await;
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("40 calls, 40 ok"), "{out}");
    for (_, address) in &servers {
        assert!(out.contains(&format!("user 123 from {address}")), "{out}");
    }

    // A server that is told to end leaves without a failed call.
    let calls = ["call", "--etcd", &url, "--count", "300", "--rate", "100"];
    let mut calls = Running::start(&calls);
    calls.line_with("user 123 from").await;
    let (server, address) = servers.remove(0);
    server.interrupt();
    watch.line_with(&format!("{address} is gone")).await;
    assert_eq!(server.code().await, Some(0));
    calls.line_with("300 calls, 300 ok").await;
    assert_eq!(calls.code().await, Some(0));

    watch.interrupt();
    assert_eq!(watch.code().await, Some(0));
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_named() {
    let url = format!("http://127.0.0.1:{}", port::free().unwrap());
    let (code, _, err) = finish(demo(&["serve", "--etcd", &url])).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains(&url) && err.contains("is it running?"),
        "{err}"
    );
}

#[tokio::test]
async fn a_service_config_that_is_wrong_names_the_place() {
    let file = std::env::temp_dir().join(format!("evenkeel-demo-{}.json", std::process::id()));
    let config = r#"{"methodConfig": [{"name": [{}], "timeout": "fast"}]}"#;
    std::fs::write(&file, config).unwrap();
    let name = file.to_str().unwrap();
    let (code, _, err) = finish(demo(&["--service-config", name])).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains(name) && err.contains("methodConfig[0].timeout"),
        "{err}"
    );

    let (code, _, err) = finish(demo(&["--service-config", name])).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot read"), "{err}");
}
