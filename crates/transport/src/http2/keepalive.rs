use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_core::Address;
use h2::{Ping, PingPong, Reason};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Http2Config, Pace};
use crate::{CloseReason, ErrorCode};

/// Asks a silent peer for a sign of life, and gives it up when none comes.
///
/// Every byte from the peer counts as one, the answer to the PING included. So a peer that dies
/// is noticed within time + timeout of its last byte.
#[derive(Debug)]
pub(super) struct Keepalive {
    ping_pong: PingPong,
    time: Duration,
    timeout: Duration,
    permit_without_calls: bool,
    pace: Arc<Pace>,
    last_read: Instant,
    pinged: Option<Instant>,
    /// Never later than what it stands for, so that reading costs no timer.
    timer: Pin<Box<Sleep>>,
}

impl Keepalive {
    /// `None` when it is switched off; `ping_pong` is asked for only when it is not.
    pub(super) fn new(
        config: &Http2Config,
        pace: Arc<Pace>,
        ping_pong: impl FnOnce() -> Option<PingPong>,
    ) -> Option<Self> {
        let (time, timeout) = config.keepalive()?;
        let time = pace.time(time).min(Http2Config::MAX_KEEPALIVE);
        let now = Instant::now();
        Some(Self {
            ping_pong: ping_pong()?,
            time,
            timeout,
            permit_without_calls: config.keepalive_permit_without_calls,
            pace,
            last_read: now,
            pinged: None,
            timer: Box::pin(sleep_until(now + time)),
        })
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The peer takes no new calls; if that is because it was asked too often, the next
    /// connections learn from it.
    pub(super) fn learn(&self, reason: &CloseReason, address: &Address) {
        if let CloseReason::GoAway { code, debug } = reason
            && *code == ErrorCode::of(Some(Reason::ENHANCE_YOUR_CALM))
            && debug == "too_many_pings"
        {
            self.pace.too_many_pings(self.time, address);
        }
    }

    /// Ready when the peer is gone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, read: bool, calls: bool) -> Poll<()> {
        if read {
            self.last_read = Instant::now();
            // Taken, so that the next PING can be sent; nothing to learn from it.
            let _ = self.ping_pong.poll_pong(cx);
            if self.pinged.take().is_some() {
                self.timer.as_mut().reset(self.last_read + self.time);
            }
        }
        if !calls && !self.permit_without_calls {
            // Dormant: the first call wakes the connection, and a PING follows if one is due.
            self.pinged = None;
            return Poll::Pending;
        }
        loop {
            let deadline = match self.pinged {
                Some(at) => at + self.timeout,
                None => self.last_read + self.time,
            };
            if self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < deadline {
                self.timer.as_mut().reset(deadline);
            } else if self.pinged.is_some() {
                return Poll::Ready(());
            } else {
                // An older PING that is still on its way serves as well.
                let _ = self.ping_pong.send_ping(Ping::opaque());
                self.pinged = Some(now);
                self.timer.as_mut().reset(now + self.timeout);
            }
        }
    }
}
