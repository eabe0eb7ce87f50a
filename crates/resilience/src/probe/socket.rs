use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use evenkeel_core::error::BoxError;
use evenkeel_core::{Address, Endpoint};
use tokio::net::TcpStream;

use super::{Probe, Probing};

/// Connects, and closes the connection at once: whether somebody listens. Endpoints at Unix domain
/// sockets are connected to in the same way; of several addresses, which are tried at the same time, one is
/// enough.
///
/// It sees what a connection that lives cannot: that the server takes no new ones.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct TcpProbe {
    /// Another port of the same host. Default: the endpoint's own.
    pub port: Option<u16>,
}

impl Probe for TcpProbe {
    fn probe(&self, endpoint: Arc<Endpoint>) -> Probing {
        let port = self.port;
        Box::pin(async move {
            let addresses = endpoint.addresses().iter();
            first_success(addresses.map(|address| open(address, port))).await
        })
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str("TCP probe"),
            Some(port) => write!(f, "TCP probe of port {port}"),
        }
    }
}

/// All at once, because one that is never answered would leave no time for the others. An error is the
/// first that came.
pub(super) async fn first_success<F>(probes: impl Iterator<Item = F>) -> Result<(), BoxError>
where
    F: Future<Output = Result<(), BoxError>>,
{
    let mut probes: Vec<_> = probes.map(Box::pin).collect();
    let mut error = None;
    poll_fn(|cx| {
        let mut next = 0;
        while let Some(probe) = probes.get_mut(next) {
            match probe.as_mut().poll(cx) {
                Poll::Pending => next += 1,
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(failed)) => {
                    drop(probes.remove(next));
                    error.get_or_insert(failed);
                }
            }
        }
        match probes.is_empty() {
            true => Poll::Ready(error.take().map_or(Ok(()), Err)),
            false => Poll::Pending,
        }
    })
    .await
}

async fn open(address: &Address, port: Option<u16>) -> Result<(), BoxError> {
    match (address, port) {
        #[cfg(unix)]
        (Address::Unix(path), None) => drop(tokio::net::UnixStream::connect(path).await?),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        (Address::UnixAbstract(name), None) => {
            // tokio takes a path that begins with NUL for a name in the abstract namespace.
            drop(tokio::net::UnixStream::connect(format!("\0{name}")).await?);
        }
        _ => drop(connect(address, port).await?),
    }
    Ok(())
}

/// Connects to the host of `address`, at `port` if there is one.
pub(super) async fn connect(address: &Address, port: Option<u16>) -> io::Result<TcpStream> {
    match address {
        Address::Ip(ip) => TcpStream::connect((ip.ip(), port.unwrap_or(ip.port()))).await,
        Address::Host { host, port: own } => {
            TcpStream::connect((&**host, port.unwrap_or(*own))).await
        }
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a Unix domain socket has no port to probe",
        )),
    }
}
