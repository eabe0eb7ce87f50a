use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use evenkeel_core::Address;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::config::SendRequest;
use super::connection::Shared;
use super::driver::Driver;
use super::keepalive::Keepalive;
use super::link::Link;
use super::streams::Streams;
use super::wire::Tapped;
use super::{Head, Http2Config, Http2Connection, Pace};
use crate::Connected;
use crate::connector::BoxIo;

/// Why a socket did not become an HTTP/2 connection.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The peer does not speak HTTP/2, or the socket failed.
    Http2(h2::Error),
    /// The peer closed the connection before its SETTINGS.
    NoSettings,
}

/// A connection on which both sides have spoken, and that nobody drives yet.
pub(crate) struct Opened {
    send: SendRequest,
    connection: h2::client::Connection<Tapped<BoxIo>, Bytes>,
    link: Arc<Link>,
}

/// Speaks HTTP/2 on `io`: preface and SETTINGS out, the peer's SETTINGS in.
pub(crate) async fn handshake(io: BoxIo, config: &Http2Config) -> Result<Opened, HandshakeError> {
    let link = Arc::new(Link::default());
    let failed = |error| match link.wire.is_eof() {
        true => HandshakeError::NoSettings,
        false => HandshakeError::Http2(error),
    };
    let io = Tapped::new(io, link.clone());
    let (send, mut connection) = config.builder().handshake(io).await.map_err(failed)?;

    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(HandshakeError::NoSettings)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error))),
        Poll::Pending if connection.max_concurrent_send_streams() == Http2Config::NO_SETTINGS => {
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(Opened {
        send,
        connection,
        link,
    })
}

impl Opened {
    /// Has it driven by a task.
    pub(crate) fn drive(
        mut self,
        config: &Http2Config,
        pace: Arc<Pace>,
        head: Head,
        address: Address,
    ) -> Connected<Http2Connection> {
        let (closed, closed_reason) = oneshot::channel();
        let (gone, handles) = oneshot::channel();
        let runtime = Handle::current();
        let keepalive = Keepalive::new(config, pace, || self.connection.ping_pong());
        let shared = Arc::new(Shared {
            send: self.send.clone(),
            head,
            link: self.link.clone(),
            streams: Streams::default(),
            runtime: runtime.clone(),
        });
        // Detached, but not without an owner: the handles and the calls own the connection, and
        // the driver ends with the last of them.
        runtime.spawn(Driver {
            address,
            connection: Some(self.connection),
            probe: Some(self.send),
            handles: Some(handles),
            shared: Arc::downgrade(&shared),
            keepalive: keepalive.map(Box::new),
            link: self.link,
            closed: Some(closed),
            grace: None,
        });
        Connected::new(Http2Connection::new(shared, gone), closed_reason)
    }
}
