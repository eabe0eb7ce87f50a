//! A real etcd for the tests: on free loopback ports, with a data folder of its own.
//!
//! ```no_run
//! use evenkeel_testkit::EtcdServer;
//!
//! # async fn test() {
//! let Some(mut etcd) = EtcdServer::start().await else {
//!     return; // reported as skipped: etcd is not installed
//! };
//! let mut client = etcd.client().await;
//! client.put("user/1", "…", None).await.unwrap();
//! etcd.stop().await; // orderly; `kill` for a crash, `pause` for a hang
//! etcd.start_again().await; // same ports, same data
//! # }
//! ```
//!
//! Dropping the guard kills etcd and removes its data, also when the test panics.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use etcd_client::Client;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{PATIENCE, port, skip, within};

/// An etcd process with one member, and what it takes to disturb it.
#[derive(Debug)]
pub struct EtcdServer {
    binary: PathBuf,
    folder: TempDir,
    ports: Ports,
    child: Option<Child>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    client: u16,
    peer: u16,
}

impl Ports {
    fn free() -> Self {
        let free = || port::free().expect("a free port on loopback");
        Self {
            client: free(),
            peer: free(),
        }
    }
}

impl EtcdServer {
    /// Starts etcd and waits until it serves. Without an etcd on the `PATH`, the calling test is
    /// reported as skipped and gets `None`.
    ///
    /// # Panics
    ///
    /// When etcd is there and does not start.
    pub async fn start() -> Option<Self> {
        let mut server = Self::prepare()?;
        // The ports were free a moment ago; that somebody else took one is rare, not impossible.
        for _ in 0..3 {
            server.spawn();
            if server.is_serving().await {
                return Some(server);
            }
            server.reap();
            server.ports = Ports::free();
        }
        panic!("etcd does not start; it says:\n{}", server.log());
    }

    /// An etcd that is not running yet, for clients that come first; as [`Self::start`]
    /// otherwise. [`Self::start_again`] starts it.
    #[must_use]
    pub fn prepare() -> Option<Self> {
        Some(Self {
            binary: skip::unless_installed("etcd")?,
            folder: TempDir::new().expect("a temporary folder"),
            ports: Ports::free(),
            child: None,
        })
    }

    /// Where it serves: `http://127.0.0.1:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.client)
    }

    /// A client of its own connection.
    ///
    /// # Panics
    ///
    /// When etcd refuses it.
    pub async fn client(&self) -> Client {
        let client = Client::connect([self.endpoint()], None).await;
        client.expect("a client without authentication connects lazily")
    }

    /// Stops etcd in order (SIGTERM).
    ///
    /// # Panics
    ///
    /// When it does not stop.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    /// Lets etcd crash (SIGKILL).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Stops etcd from running while its connections stay open (SIGSTOP).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // The signal is on its way until the last thread has stopped.
        let pid = self.child.as_ref().map(Pid::from_child);
        waitpid(pid, WaitOptions::UNTRACED).expect("it is our child");
    }

    /// Lets a paused etcd go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts a stopped etcd with the same ports and data and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it is running, or does not start.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "etcd is running");
        self.spawn();
        let serving = self.is_serving().await;
        assert!(serving, "etcd does not start; it says:\n{}", self.log());
    }

    /// Removes the data of a stopped etcd: it starts again as a new cluster with revision 1.
    ///
    /// # Panics
    ///
    /// When it is running.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "etcd is running");
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(data).expect("the folder is ours");
    }

    fn spawn(&mut self) {
        let open = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join("log"));
        let log = open.expect("the folder is ours");
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.ports.peer);
        // Elections of a single member are quick, and the shortest lease that etcd grants is
        // one and a half of them.
        let child = Command::new(&self.binary)
            .args(["--name", "test", "--logger", "zap"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("the binary is executable"));
    }

    /// Waits until etcd says that it is healthy; false when it has ended instead.
    async fn is_serving(&mut self) -> bool {
        let port = self.ports.client;
        let child = self.child.as_mut().expect("it was just started");
        let serving = async {
            while !matches!(health(port).await, Ok(true)) {
                if child.try_wait().expect("it is our child").is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            true
        };
        within("etcd starts", serving).await
    }

    async fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("etcd is running");
        send(&child, signal);
        let pid = child.id();
        let wait = async {
            while let Ok(None) = child.try_wait() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            self.child = Some(child);
            panic!("etcd ({pid}) does not end by {signal:?}");
        }
    }

    fn signal(&self, signal: Signal) {
        send(self.child.as_ref().expect("etcd is running"), signal);
    }

    /// Kills and buries the process, if there is one.
    fn reap(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        // An error says that it has ended by itself.
        let _ = child.kill();
        child.wait().ok()
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        log.unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        // Before its folder goes.
        self.reap();
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it is our child and not buried");
}

/// What etcd answers to `GET /health`; since 3.4 that includes a read through the leader.
async fn health(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains(r#""health":"true""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_serves_stops_and_comes_back_with_its_data() {
        let Some(mut etcd) = EtcdServer::start().await else {
            return;
        };
        let endpoint = etcd.endpoint();
        let mut client = etcd.client().await;
        client.put("key", "value", None).await.unwrap();
        etcd.stop().await;
        etcd.start_again().await;
        assert_eq!(etcd.endpoint(), endpoint);
        let mut client = etcd.client().await;
        assert_eq!(client.get("key", None).await.unwrap().count(), 1);
        etcd.kill().await;
        etcd.wipe();
        etcd.start_again().await;
        let mut client = etcd.client().await;
        assert_eq!(client.get("key", None).await.unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_paused_one_hangs_and_dropping_it_ends_it() {
        let Some(etcd) = EtcdServer::start().await else {
            return;
        };
        etcd.pause();
        let mut client = etcd.client().await;
        let hang = tokio::time::timeout(Duration::from_millis(50), client.get("key", None));
        assert!(hang.await.is_err(), "it answers although it is paused");
        let pid = Pid::from_child(etcd.child.as_ref().unwrap());
        let folder = etcd.folder.path().to_owned();
        drop(etcd);
        assert!(rustix::process::test_kill_process(pid).is_err());
        assert!(!folder.exists());
    }
}
