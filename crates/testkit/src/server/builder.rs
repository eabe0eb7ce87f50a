use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_core::Address;
use rustls::ServerConfig;

use super::UserServer;
use super::health::Health;
use super::incarnation::{Incarnation, Listener, Setup};
use super::script::Script;
use super::seen::Counters;
use crate::port;

/// The settings of a [`UserServer`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    name: Option<String>,
    port: Option<u16>,
    path: Option<PathBuf>,
    tls: Option<Arc<ServerConfig>>,
    max_concurrent_streams: Option<u32>,
    open_rca: bool,
    health: bool,
}

impl Builder {
    /// What it calls itself in [`SERVED_BY`](super::SERVED_BY); unset: its address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The port of 127.0.0.1; unset: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Listens on a Unix domain socket instead. The file is made, and replaced at a restart.
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Speaks TLS, for instance as [`Authority::server`](crate::tls::Authority::server) says.
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Streams that a connection may have open; unset: hyper's default (200).
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = Some(streams);
        self
    }

    /// Has `xds.service.orca.v3.OpenRcaService`, which streams what
    /// [`UserServer::stream_load`] says; unset: it is UNIMPLEMENTED.
    pub fn open_rca(mut self) -> Self {
        self.open_rca = true;
        self
    }

    /// Has `grpc.health.v1.Health`, which says what [`UserServer::set_health`] does, and that the
    /// server as a whole is serving; unset: it is UNIMPLEMENTED.
    pub fn health(mut self) -> Self {
        self.health = true;
        self
    }

    /// Starts it; it listens when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot listen or has no thread.
    pub async fn start(self) -> io::Result<UserServer> {
        let (address, listener) = match (self.path, self.port) {
            (Some(path), _) => (Address::Unix(path.into()), None),
            (None, Some(port)) => (Address::Ip(([127, 0, 0, 1], port).into()), None),
            (None, None) => {
                let listener = port::listen()?;
                let address = listener.local_addr()?.into();
                (address, Some(Listener::Tcp(listener)))
            }
        };
        let setup = Arc::new(Setup {
            name: self.name.unwrap_or_else(|| address.to_string()),
            address,
            tls: self.tls,
            max_concurrent_streams: self.max_concurrent_streams,
            open_rca: self.open_rca,
            health: self.health,
            script: Script::default(),
            counters: Counters::default(),
        });
        setup.script.set_health("", Health::Serving);
        let present = Incarnation::start(setup.clone(), listener).await?;
        Ok(UserServer {
            setup,
            present: Some(present),
            leaving: Vec::new(),
        })
    }
}
