use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::incarnation::Setup;

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that is counted while it is open.
pub(super) struct Io {
    stream: Stream,
    setup: Arc<Setup>,
}

enum Stream {
    Plain(Raw),
    Tls(Box<TlsStream<Raw>>),
}

impl Io {
    pub(super) fn plain(raw: Raw, setup: Arc<Setup>) -> Self {
        Self::new(Stream::Plain(raw), setup)
    }

    pub(super) fn tls(stream: TlsStream<Raw>, setup: Arc<Setup>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), setup)
    }

    fn new(stream: Stream, setup: Arc<Setup>) -> Self {
        setup.counters.count(|seen| {
            seen.connections += 1;
            seen.accepted += 1;
        });
        Self { stream, setup }
    }

    fn stream(&mut self) -> &mut dyn ReadWrite {
        match &mut self.stream {
            Stream::Plain(raw) => raw.stream(),
            Stream::Tls(stream) => stream,
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.setup.counters.count(|seen| seen.connections -= 1);
    }
}

impl Raw {
    fn stream(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl tonic::transport::server::Connected for Io {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

/// Passes reads and writes on to what `stream()` gives.
macro_rules! read_write {
    ($name:ident) => {
        impl AsyncRead for $name {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(self.stream()).poll_read(cx, buffer)
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(self.stream()).poll_write(cx, data)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(self.stream()).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(self.stream()).poll_shutdown(cx)
            }
        }
    };
}

read_write!(Io);
read_write!(Raw);
