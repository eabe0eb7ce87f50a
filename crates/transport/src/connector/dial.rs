use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_core::Address;
use tokio::net::{TcpStream, lookup_host};

use super::{Attempt, BoxIo};
use crate::{ConnectError, ConnectStep};

const MIN_TCP_KEEPALIVE: Duration = Duration::from_secs(1);
const MAX_TCP_KEEPALIVE: Duration = Duration::from_secs(32_767);

impl Attempt {
    /// A connected socket.
    pub(super) async fn dial(&self) -> Result<BoxIo, ConnectError> {
        let refused = |error: io::Error| self.failed(ConnectStep::Dial).with_source(error);
        match &self.address {
            Address::Ip(address) => self.tcp(*address).await.map_err(refused),
            Address::Host { host, port } => self.tcp_by_name(host, *port).await,
            Address::Unix(path) => unix::connect(path).await.map_err(refused),
            Address::UnixAbstract(name) => unix::connect_abstract(name).await.map_err(refused),
            _ => Err(refused(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Tries what the name resolves to, in order, until one connects.
    async fn tcp_by_name(&self, host: &str, port: u16) -> Result<BoxIo, ConnectError> {
        let unresolved = |error: io::Error| self.failed(ConnectStep::Resolve).with_source(error);
        let mut last = unresolved(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
        for address in lookup_host((host, port)).await.map_err(unresolved)? {
            match self.tcp(address).await {
                Ok(io) => return Ok(io),
                Err(error) => {
                    let error = io::Error::new(error.kind(), format!("{address}: {error}"));
                    last = self.failed(ConnectStep::Dial).with_source(error);
                }
            }
        }
        Err(last)
    }

    async fn tcp(&self, address: SocketAddr) -> io::Result<BoxIo> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        if let Some(time) = self.settings.tcp_keepalive {
            let time = time.clamp(MIN_TCP_KEEPALIVE, MAX_TCP_KEEPALIVE);
            let keepalive = socket2::TcpKeepalive::new().with_time(time);
            socket2::SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        }
        Ok(Box::new(socket))
    }
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::Path;

    use tokio::net::UnixStream;

    use crate::connector::BoxIo;

    pub(super) async fn connect(path: &Path) -> io::Result<BoxIo> {
        Ok(Box::new(UnixStream::connect(path).await?))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) async fn connect_abstract(name: &str) -> io::Result<BoxIo> {
        // tokio takes a path that begins with NUL for a name in the abstract namespace.
        let path = format!("\0{name}");
        Ok(Box::new(UnixStream::connect(path).await?))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) async fn connect_abstract(_name: &str) -> io::Result<BoxIo> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(unix))]
mod unix {
    use std::io;
    use std::path::Path;

    use crate::connector::BoxIo;

    pub(super) async fn connect(_path: &Path) -> io::Result<BoxIo> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn connect_abstract(_name: &str) -> io::Result<BoxIo> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
