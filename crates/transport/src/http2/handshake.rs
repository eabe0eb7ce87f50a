use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use evenkeel_core::Address;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::connection::Shared;
use super::driver::Driver;
use super::keepalive::Keepalive;
use super::link::Link;
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

/// Speaks HTTP/2 on `io`: preface and SETTINGS out, the peer's SETTINGS in.
pub(crate) async fn handshake(
    io: BoxIo,
    config: &Http2Config,
    pace: Arc<Pace>,
    head: Head,
    address: Address,
) -> Result<Connected<Http2Connection>, HandshakeError> {
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

    let (closed, closed_reason) = oneshot::channel();
    let (gone, handles) = oneshot::channel();
    let runtime = Handle::current();
    let keepalive = Keepalive::new(config, pace, || connection.ping_pong()).map(Box::new);
    let shared = Arc::new(Shared {
        send: send.clone(),
        head,
        link: link.clone(),
        runtime: runtime.clone(),
    });
    // Detached, but not without an owner: the handles and the calls own the connection, and the
    // driver ends with the last of them.
    runtime.spawn(Driver {
        address,
        connection: Some(connection),
        probe: Some(send),
        handles: Some(handles),
        shared: Arc::downgrade(&shared),
        keepalive,
        link,
        closed: Some(closed),
        grace: None,
    });
    let connection = Http2Connection::new(shared, gone);
    Ok(Connected::new(connection, closed_reason))
}
