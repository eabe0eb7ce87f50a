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
//! [`EtcdCluster`] is three of them that are one etcd. Dropping the guard kills etcd and removes
//! its data, also when the test panics.

mod auth;
mod backup;
mod builder;
mod cluster;
mod process;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use etcd_client::{Client, CompactionOptions};
use tempfile::TempDir;

pub use backup::Backup;
pub use builder::EtcdBuilder;
pub use cluster::EtcdCluster;
use process::{Ports, Process, Setup};

/// An etcd process, and what it takes to disturb it: a cluster of one, or a member of an
/// [`EtcdCluster`].
#[derive(Debug)]
pub struct EtcdServer {
    binary: PathBuf,
    folder: TempDir,
    ports: Ports,
    setup: Setup,
    process: Option<Process>,
}

impl EtcdServer {
    /// Starts etcd and waits until it serves. Without an etcd on the `PATH`, the calling test is
    /// reported as skipped and gets `None`.
    ///
    /// # Panics
    ///
    /// When etcd is there and does not start.
    pub async fn start() -> Option<Self> {
        Self::builder().start().await
    }

    /// An etcd that is not running yet, for clients that come first; as [`Self::start`]
    /// otherwise. [`Self::start_again`] starts it.
    #[must_use]
    pub fn prepare() -> Option<Self> {
        Self::builder().prepare()
    }

    /// An etcd with other settings: tokens that expire soon, TLS.
    pub fn builder() -> EtcdBuilder {
        EtcdBuilder::default()
    }

    fn new(binary: PathBuf, name: &str, ports: Ports) -> Self {
        Self {
            binary,
            folder: TempDir::new().expect("a temporary folder"),
            setup: Setup::alone(name, ports),
            ports,
            process: None,
        }
    }

    /// Where it serves: `http://127.0.0.1:port`, or `https://127.0.0.1:port` with TLS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        if self.setup.tls.is_some() {
            self.ports.tls_url()
        } else {
            self.ports.client_url()
        }
    }

    /// A client of its own connection, in clear text also with TLS.
    ///
    /// # Panics
    ///
    /// When etcd refuses it.
    pub async fn client(&self) -> Client {
        let client = Client::connect([self.ports.client_url()], None).await;
        client.expect("a client without authentication connects lazily")
    }

    /// Forgets what was before `revision`: who asks for it is told that it is compacted.
    ///
    /// # Panics
    ///
    /// When etcd refuses, because the revision is yet to come or compacted already.
    pub async fn compact(&self, revision: i64) {
        let physical = CompactionOptions::new().with_physical();
        let compacted = self.client().await.compact(revision, Some(physical)).await;
        compacted.expect("a revision of the past");
    }

    /// The sum of etcd's metrics whose name, with labels, starts like this.
    ///
    /// # Panics
    ///
    /// When etcd does not serve.
    pub async fn metric(&self, start: &str) -> f64 {
        let metrics = process::get(self.ports.client, "/metrics").await;
        let metrics = metrics.expect("etcd serves");
        let lines = metrics.lines().filter(|line| line.starts_with(start));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Stops etcd in order (SIGTERM).
    ///
    /// # Panics
    ///
    /// When it is not running, or does not stop.
    pub async fn stop(&mut self) {
        self.process.take().expect("etcd is running").stop().await;
    }

    /// Lets etcd crash (SIGKILL).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub async fn kill(&mut self) {
        self.process.take().expect("etcd is running").kill().await;
    }

    /// Stops etcd from running while its connections stay open (SIGSTOP).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn pause(&self) {
        self.process.as_ref().expect("etcd is running").pause();
    }

    /// Lets a paused etcd go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn resume(&self) {
        self.process.as_ref().expect("etcd is running").resume();
    }

    /// Starts a stopped etcd with the same ports and data and waits until it serves. A member of
    /// a cluster serves only while most members run: see [`Self::launch`].
    ///
    /// # Panics
    ///
    /// When it is running, or does not start.
    pub async fn start_again(&mut self) {
        self.launch();
        let serves = self.serves().await;
        assert!(serves, "etcd does not start; it says:\n{}", self.log());
    }

    /// Starts a stopped etcd as [`Self::start_again`] does, and does not wait for it.
    ///
    /// # Panics
    ///
    /// When it is running.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "etcd is running");
        let folder = self.folder.path();
        self.process = Some(Process::start(
            &self.binary,
            folder,
            &self.setup,
            self.ports,
        ));
    }

    /// Waits until etcd says that it is healthy; false when it has ended instead.
    async fn serves(&mut self) -> bool {
        let process = self.process.as_mut().expect("etcd is running");
        process.serves(self.ports.client).await
    }

    fn log(&self) -> String {
        process::log(self.folder.path())
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        // Before its folder goes.
        self.process = None;
    }
}
