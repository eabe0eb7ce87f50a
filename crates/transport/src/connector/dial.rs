use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_core::Address;
use tokio::net::{TcpStream, lookup_host};

use super::race::race;
use super::{Attempt, BoxIo};
use crate::{ConnectError, ConnectStep};

/// The "connection attempt delay" that RFC 8305, section 8, recommends.
const HEAD_START: Duration = Duration::from_millis(250);
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

    /// Races what the name resolves to: one address that swallows packets must not keep the
    /// others from being tried.
    async fn tcp_by_name(&self, host: &str, port: u16) -> Result<BoxIo, ConnectError> {
        let unresolved = |error: io::Error| self.failed(ConnectStep::Resolve).with_source(error);
        let found = lookup_host((host, port)).await.map_err(unresolved)?;
        match first_of(found.collect(), |address| self.tcp(address)).await {
            Ok(io) => Ok(io),
            Err(Some(error)) => Err(self.failed(ConnectStep::Dial).with_source(error)),
            Err(None) => Err(unresolved(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ))),
        }
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

/// The first of `addresses` to connect; else the last failure, if there was any.
async fn first_of<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Option<io::Error>> {
    let mut last = None;
    let attempt = |address| {
        let attempt = connect(address);
        async move {
            let result = attempt.await;
            result.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
        }
    };
    let failed = |error| last = Some(error);
    let connected = race(interleaved(addresses), HEAD_START, attempt, failed).await;
    connected.ok_or(last)
}

/// IPv4 and IPv6 in turn, beginning with the family of the first (RFC 8305, section 4): a broken
/// family costs one head start, not one for each of its addresses.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = addresses.len();
    let leading = addresses.first().map(SocketAddr::is_ipv4);
    let (leads, follows): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| Some(address.is_ipv4()) == leading);
    let (mut leads, mut follows) = (leads.into_iter(), follows.into_iter());
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        order.extend(leads.next());
        order.extend(follows.next());
    }
    order
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    use tokio::time::Instant;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let port = 80;
        let parse = |text: &&str| SocketAddr::new(text.parse().unwrap(), port);
        texts.iter().map(parse).collect()
    }

    #[test]
    fn the_families_take_turns_and_the_first_addresss_leads() {
        for (found, order) in [
            (&[][..], &[][..]),
            (&["10.0.0.1"], &["10.0.0.1"]),
            (
                &["::1", "::2", "::3", "10.0.0.1"],
                &["::1", "10.0.0.1", "::2", "::3"],
            ),
            (
                &["10.0.0.1", "10.0.0.2", "::1", "::2"],
                &["10.0.0.1", "::1", "10.0.0.2", "::2"],
            ),
        ] {
            assert_eq!(interleaved(addresses(found)), addresses(order));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_packets_costs_a_head_start() {
        let begun = Instant::now();
        let found = addresses(&["::1", "::2", "10.0.0.1"]);
        let connected = first_of(found, async |address| match address {
            SocketAddr::V6(_) => pending().await,
            SocketAddr::V4(_) => Ok(address),
        });
        assert_eq!(connected.await.unwrap(), addresses(&["10.0.0.1"])[0]);
        assert_eq!(begun.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_failure_names_its_address() {
        let refused = async |_| Err::<(), _>(io::ErrorKind::ConnectionRefused.into());
        let failed = first_of(addresses(&["10.0.0.1", "10.0.0.2"]), refused).await;
        let error = failed.unwrap_err().unwrap();
        assert_eq!(error.to_string(), "10.0.0.2:80: connection refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_of(Vec::new(), refused).await.unwrap_err().is_none());
    }
}
