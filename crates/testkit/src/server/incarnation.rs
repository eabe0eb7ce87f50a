use std::io;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::Address;
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::health::HealthService;
use super::io::{Io, Raw};
use super::load_report::LoadReportLayer;
use super::open_rca::OpenRca;
use super::record::RecordLayer;
use super::script::Script;
use super::seen::Counters;
use super::service::Users;
use crate::pb::user_service_server::UserServiceServer;
use crate::worker::Worker;

/// What all incarnations of a server have in common.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) max_concurrent_streams: Option<u32>,
    pub(super) open_rca: bool,
    pub(super) health: bool,
    pub(super) script: Script,
    pub(super) counters: Counters,
}

/// A bound socket, not yet of any runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The server from a start to the next kill or shutdown.
#[derive(Debug)]
pub(super) struct Incarnation {
    worker: Worker,
    leave: watch::Sender<bool>,
    listening: watch::Receiver<()>,
}

impl Incarnation {
    /// Serves on `listener`, or on a new one at the setup's address.
    pub(super) async fn start(setup: Arc<Setup>, listener: Option<Listener>) -> io::Result<Self> {
        let listener = match listener {
            Some(listener) => listener,
            None => bind(&setup.address).await?,
        };
        let (leave, leaving) = watch::channel(false);
        let (listens, listening) = watch::channel(());
        let worker = Worker::spawn(format!("server {}", setup.name), move || {
            serve(setup, listener, leaving, listens)
        })?;
        Ok(Self {
            worker,
            leave,
            listening,
        })
    }

    /// Stops listening, sends GOAWAY, and ends with the last call.
    pub(super) fn leave(&self) {
        self.leave.send_replace(true);
    }

    /// Waits until the port is free.
    pub(super) async fn not_listening(&self) {
        let mut listening = self.listening.clone();
        // It never changes: an error is the end of it.
        let _ = listening.changed().await;
    }

    pub(super) async fn finished(&mut self) {
        self.worker.finished().await;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    pub(super) async fn kill(self) {
        self.worker.kill().await;
    }
}

/// Another process may look for a free port at this moment, so a taken one is tried again.
async fn bind(address: &Address) -> io::Result<Listener> {
    let mut tries = 0;
    loop {
        let bound = match address {
            Address::Ip(address) => std::net::TcpListener::bind(address).map(Listener::Tcp),
            Address::Unix(path) => {
                let _ = std::fs::remove_file(path);
                std::os::unix::net::UnixListener::bind(path).map(Listener::Unix)
            }
            other => unreachable!("the builder makes no {other}"),
        };
        match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 100 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound,
        }
    }
}

async fn serve(
    setup: Arc<Setup>,
    listener: Listener,
    mut leaving: watch::Receiver<bool>,
    listens: watch::Sender<()>,
) {
    let (connections, incoming) = mpsc::channel(1);
    let mut accepting = JoinSet::new();
    let mut stop = leaving.clone();
    let accept_setup = setup.clone();
    accepting.spawn(async move {
        tokio::select! {
            biased;
            _ = stop.wait_for(|leave| *leave) => {}
            ended = accept(accept_setup, listener, connections) => {
                ended.expect("a bound listener accepts");
            }
        }
        drop(listens);
    });
    let users = UserServiceServer::new(Users(setup.clone()))
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let open_rca = setup.open_rca.then(|| OpenRca(setup.clone()));
    let health = setup.health.then(|| HealthService(setup.clone()));
    Server::builder()
        .max_concurrent_streams(setup.max_concurrent_streams)
        .layer(LoadReportLayer(setup.clone()))
        .layer(RecordLayer(setup))
        .add_service(users)
        .add_optional_service(open_rca)
        .add_optional_service(health)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
            let _ = leaving.wait_for(|leave| *leave).await;
        })
        .await
        .expect("the incoming stream yields no errors");
}

async fn accept(
    setup: Arc<Setup>,
    listener: Listener,
    connections: mpsc::Sender<io::Result<Io>>,
) -> io::Result<()> {
    let listener = Bound::new(listener)?;
    let acceptor = setup.tls.clone().map(TlsAcceptor::from);
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            raw = listener.accept() => {
                let raw = raw?;
                let (setup, acceptor) = (setup.clone(), acceptor.clone());
                let connections = connections.clone();
                handshakes.spawn(async move {
                    let io = match acceptor {
                        None => Io::plain(raw, setup),
                        Some(acceptor) => match acceptor.accept(raw).await {
                            Ok(stream) => Io::tls(stream, setup),
                            // The client has been told, by an alert.
                            Err(_) => return,
                        },
                    };
                    // An error means that the server is leaving.
                    let _ = connections.send(Ok(io)).await;
                });
            }
            Some(_) = handshakes.join_next() => {}
        }
    }
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    async fn accept(&self) -> io::Result<Raw> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Raw::Tcp(stream))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Raw::Unix(stream)),
        }
    }
}
