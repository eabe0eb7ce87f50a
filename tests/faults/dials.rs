use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_testkit::{UserServer, within};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;

/// Opens sockets, and counts how often it was to, for each port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dials(Arc<watch::Sender<HashMap<u16, u64>>>);

impl Dials {
    pub(crate) fn of(&self, port: u16) -> u64 {
        self.0.borrow().get(&port).copied().unwrap_or(0)
    }

    pub(crate) fn of_server(&self, server: &UserServer) -> u64 {
        self.of(server.socket_address().port())
    }

    /// Waits until there were `count` of them.
    pub(crate) async fn wait_for(&self, port: u16, count: u64) {
        let mut counts = self.0.subscribe();
        let dialled = |counts: &HashMap<_, _>| counts.get(&port) >= Some(&count);
        within("a connection attempt", counts.wait_for(dialled))
            .await
            .unwrap();
    }
}

impl Service<Uri> for Dials {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let authority = uri.authority().unwrap().to_string();
        let port = uri.port_u16().unwrap();
        self.0
            .send_modify(|counts| *counts.entry(port).or_default() += 1);
        Box::pin(async move { TcpStream::connect(authority).await.map(TokioIo::new) })
    }
}
