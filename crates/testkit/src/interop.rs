//! `grpc.testing.TestService`, the service of gRPC's interop tests, by tonic.
//!
//! What it does is in gRPC's [descriptions] of these tests.
//!
//! [descriptions]: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md

pub mod pb;
mod service;
mod witness;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::port;
use crate::worker::Worker;
use pb::test_service_server::TestServiceServer;
use service::Service;
use witness::WitnessLayer;

/// A server of `TestService` on a thread of its own; dropping it kills it.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    ended: watch::Receiver<Vec<Ended>>,
    _worker: Worker,
}

/// How a call has ended, as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Ended {
    /// `/grpc.testing.TestService/…`
    pub path: String,
    /// Its code as a number; 1, CANCELLED, if the caller has given it up.
    pub code: i32,
}

impl TestServer {
    /// A server on a free port of 127.0.0.1; it listens when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot listen or has no thread.
    pub fn start() -> io::Result<Self> {
        let listener = port::listen()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (sender, ended) = watch::channel(Vec::new());
        let worker = Worker::spawn(format!("server {address}"), move || serve(listener, sender))?;
        Ok(Self {
            address,
            ended,
            _worker: worker,
        })
    }

    /// Where clients reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The calls that have ended, in their order.
    #[must_use]
    pub fn ended(&self) -> watch::Receiver<Vec<Ended>> {
        self.ended.clone()
    }
}

async fn serve(listener: std::net::TcpListener, ended: watch::Sender<Vec<Ended>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it is non-blocking");
    Server::builder()
        .layer(WitnessLayer(Arc::new(ended)))
        .add_service(TestServiceServer::new(Service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .expect("a bound listener accepts");
}
