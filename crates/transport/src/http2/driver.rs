use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::Address;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::config::SendRequest;
use super::connection::Shared;
use super::keepalive::Keepalive;
use super::link::Link;
use super::wire::Tapped;
use crate::CloseReason;
use crate::connector::BoxIo;

/// The task of one connection: moves its frames, notices its end.
///
/// It ends by itself: with the connection; when the last handle and the last stream are gone
/// (GOAWAY, flush, close), within [`GRACE`] even if the peer does not read; with its runtime.
pub(super) struct Driver {
    pub(super) address: Address,
    /// `None` once given up.
    pub(super) connection: Option<h2::client::Connection<Tapped<BoxIo>, Bytes>>,
    /// Asked whether new streams may be opened; gone when nobody can open one any more, because
    /// it would hold the connection open.
    pub(super) probe: Option<SendRequest>,
    pub(super) handles: Option<oneshot::Receiver<Infallible>>,
    pub(super) shared: Weak<Shared>,
    pub(super) link: Arc<Link>,
    /// In a box: few connections have one.
    pub(super) keepalive: Option<Box<Keepalive>>,
    pub(super) closed: Option<oneshot::Sender<CloseReason>>,
    pub(super) grace: Option<Pin<Box<Sleep>>>,
}

/// How long a connection that nobody uses may take to flush and close.
const GRACE: Duration = Duration::from_secs(5);

impl Driver {
    /// Says, once, that no new call can go out.
    fn announce(&mut self, reason: &CloseReason) {
        if let Some(closed) = self.closed.take() {
            tracing::debug!(address = %self.address, %reason, "connection takes no new calls");
            if let Some(keepalive) = &self.keepalive {
                keepalive.learn(reason, &self.address);
            }
            // Nobody may be interested.
            let _ = closed.send(reason.clone());
        }
        self.probe = None;
    }

    fn lose(&mut self, reason: CloseReason) {
        self.announce(&reason);
        self.link.lose(reason);
        self.connection = None;
    }

    fn poll_handles(&mut self, cx: &mut Context<'_>) {
        if let Some(handles) = &mut self.handles
            && Pin::new(handles).poll(cx).is_ready()
        {
            self.handles = None;
            self.probe = None;
        }
    }

    /// GOAWAY stops new streams long before the connection ends; `h2` says so to whoever asks.
    fn look_for_goaway(&mut self, cx: &mut Context<'_>) {
        if let Some(probe) = &mut self.probe
            && let Poll::Ready(Err(error)) = probe.poll_ready(cx)
        {
            let reason = self.link.reason_of(&error);
            self.announce(&reason);
        }
    }

    fn look_for_limit(&self) {
        if let Some(connection) = &self.connection {
            let limit = &self.link.limit;
            limit.look(|| connection.max_concurrent_send_streams());
        }
    }

    fn has_calls(&self) -> bool {
        self.shared.strong_count() > usize::from(self.handles.is_some())
    }

    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.handles.is_some() || self.has_calls() {
            return Poll::Pending;
        }
        let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(GRACE)));
        grace.as_mut().poll(cx)
    }

    fn reason_of_end(&self, result: Result<(), h2::Error>) -> CloseReason {
        match result {
            Err(error) => self.link.reason_of(&error),
            Ok(()) if self.link.wire.is_eof() => CloseReason::ClosedByPeer,
            Ok(()) => CloseReason::ClosedByUs,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.poll_handles(cx);
        let Some(connection) = &mut this.connection else {
            return Poll::Ready(());
        };
        if let Poll::Ready(result) = Pin::new(connection).poll(cx) {
            this.lose(this.reason_of_end(result));
            return Poll::Ready(());
        }
        // The first time it has: the SETTINGS.
        let read = this.link.wire.take_bytes_read();
        if read {
            this.look_for_goaway(cx);
            this.look_for_limit();
        }
        let calls = this.has_calls();
        if let Some(keepalive) = &mut this.keepalive
            && keepalive.poll(cx, read, calls).is_ready()
        {
            let timeout = keepalive.timeout();
            this.lose(CloseReason::KeepaliveTimeout(timeout));
            return Poll::Ready(());
        }
        if this.poll_grace(cx).is_ready() {
            this.lose(CloseReason::ClosedByUs);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime is going down; or this has been said before.
        self.lose(CloseReason::ClosedByUs);
    }
}
