//! Connections beside the first one, for calls that wait for a stream (gRFC A105).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel_core::error::chain;
use evenkeel_policy::subchannel::{Attempt, ConnectionKey};
use evenkeel_transport::{CloseReason, Connect, Connected, Connection};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tracing::info;

use super::{Driver, now};
use crate::dial::{DialError, dial};
use crate::subchannel::pool::Pool;

/// A connection and the word of its end.
pub(super) struct Open<H> {
    pub(super) connection: Arc<H>,
    pub(super) closed: oneshot::Receiver<CloseReason>,
    /// If it is one of several, or of several that may be.
    pub(super) lane: Option<Box<Lane>>,
}

pub(super) struct Lane {
    key: ConnectionKey,
    /// MAX_CONCURRENT_STREAMS as it was when calls were sent last.
    limit: usize,
}

impl<H> Open<H> {
    pub(super) fn new(connected: Connected<H>) -> Self {
        Self {
            connection: Arc::new(connected.connection),
            closed: connected.closed,
            lane: None,
        }
    }
}

impl Lane {
    fn poll_limit<H: Connection>(&mut self, connection: &H, cx: &Context<'_>) -> Poll<()> {
        let changed = connection.poll_max_concurrent_streams(self.limit, cx);
        changed.map(|limit| self.limit = limit)
    }
}

/// One attempt, which goes on when the connections that it began beside are lost.
pub(super) type Dialling<C> =
    Pin<Box<dyn Future<Output = Result<Connected<<C as Connect>::Connection>, DialError>> + Send>>;

/// What there is beside the oldest connection.
pub(super) struct Several<C: Connect> {
    /// By age.
    younger: Vec<Open<C::Connection>>,
    attempt: Option<Dialling<C>>,
    backoff: Option<Pin<Box<Sleep>>>,
}

pub(super) enum Event<C: Connect> {
    Attempted(Result<Connected<C::Connection>, DialError>),
    Waited,
    /// Of the younger ones the one at this place.
    Closed(usize, Option<CloseReason>),
    /// There may be a stream for those who wait.
    Room,
}

/// What happens next beside the oldest connection. Cancel safe; pending for ever where there is but one.
pub(super) fn next<C: Connect>(
    pool: Option<&Pool<C::Connection>>,
    several: Option<&mut Several<C>>,
    oldest: &C::Connection,
    lane: Option<&mut Lane>,
) -> impl Future<Output = Event<C>> {
    let mut all = pool.zip(several).zip(lane);
    // Not an async block, which would keep more: every connection has one.
    poll_fn(move |cx| match &mut all {
        Some(((pool, several), lane)) => several.poll(pool, oldest, lane, cx),
        None => Poll::Pending,
    })
}

impl<C: Connect> Several<C> {
    fn poll(
        &mut self,
        pool: &Pool<C::Connection>,
        oldest: &C::Connection,
        lane: &mut Lane,
        cx: &mut Context<'_>,
    ) -> Poll<Event<C>> {
        if lane.poll_limit(oldest, cx).is_ready() || pool.poll_room(cx).is_ready() {
            return Poll::Ready(Event::Room);
        }
        for (place, open) in self.younger.iter_mut().enumerate() {
            if let Poll::Ready(reason) = Pin::new(&mut open.closed).poll(cx) {
                return Poll::Ready(Event::Closed(place, reason.ok()));
            }
            if let Some(lane) = &mut open.lane
                && lane.poll_limit(&*open.connection, cx).is_ready()
            {
                return Poll::Ready(Event::Room);
            }
        }
        if let Some(attempt) = &mut self.attempt
            && let Poll::Ready(result) = attempt.as_mut().poll(cx)
        {
            self.attempt = None;
            return Poll::Ready(Event::Attempted(result));
        }
        if let Some(backoff) = &mut self.backoff
            && backoff.as_mut().poll(cx).is_ready()
        {
            self.backoff = None;
            return Poll::Ready(Event::Waited);
        }
        Poll::Pending
    }
}

impl<C: Connect> Driver<C> {
    /// Has calls sent over a connection: directly, or if there may be several, as one of those.
    pub(super) fn enter(&mut self, connection: &Arc<C::Connection>, lane: &mut Option<Box<Lane>>) {
        let pool = self.state.pool.get();
        match pool.filter(|pool| lane.is_some() || pool.most() > 1) {
            None => self.state.connection.store(Some(connection.clone())),
            Some(pool) => {
                if lane.is_none() {
                    *lane = Some(Box::new(join(pool, connection)));
                    // Only now: there is always one of the two to be found.
                    self.state.connection.store(None);
                }
                self.several.get_or_insert_with(|| {
                    Box::new(Several {
                        younger: Vec::new(),
                        attempt: None,
                        backoff: None,
                    })
                });
                self.consider();
            }
        }
    }

    /// No more calls go over it.
    pub(super) fn leave(&self, lane: Option<Box<Lane>>) {
        match (self.state.pool.get(), lane) {
            (Some(pool), Some(lane)) => pool.remove(lane.key),
            _ => self.state.connection.store(None),
        }
    }

    /// No more calls go over any, and no other is tried for.
    pub(super) fn leave_all(&mut self) {
        self.state.close();
        self.several = None;
    }

    /// The oldest of the connections that are left.
    pub(super) fn oldest(&mut self) -> Option<Open<C::Connection>> {
        let younger = &mut self.several.as_mut()?.younger;
        (!younger.is_empty()).then(|| younger.remove(0))
    }

    /// The attempt that goes on, or else a new one.
    pub(super) fn dialling(&mut self, until: Instant) -> Dialling<C> {
        let begun = self.several.as_mut().and_then(|it| it.attempt.take());
        begun.unwrap_or_else(|| self.begin(until))
    }

    fn begin(&self, until: Instant) -> Dialling<C> {
        let (means, endpoint) = (self.means.clone(), self.state.endpoint());
        Box::pin(async move {
            let head_start = means.config.head_start();
            dial(&means.connector, &endpoint, head_start, until.into()).await
        })
    }

    pub(super) fn take(&mut self, event: Event<C>) {
        match (event, self.state.pool.get(), &mut self.several) {
            (Event::Attempted(Ok(connected)), Some(pool), Some(several)) => {
                let mut open = Open::new(connected);
                open.lane = Some(Box::new(join(pool, &open.connection)));
                several.younger.push(open);
                let connections = several.younger.len() + 1;
                info!(endpoint = %self.state.endpoint(), connections, "connected once more");
                self.failing = false;
                self.machine.connected();
            }
            (Event::Attempted(Err(error)), ..) => self.failed(&error),
            (Event::Waited, ..) => self.machine.waited(now(), fastrand::f64()),
            (Event::Closed(place, reason), _, Some(several)) => {
                let closed = several.younger.remove(place);
                self.leave(closed.lane);
                self.machine.lost();
                let reason = reason.unwrap_or(CloseReason::ClosedByUs);
                info!(endpoint = %self.state.endpoint(), reason = %chain(&reason), "one of several connections closed");
            }
            (Event::Room, ..) => {}
            // Nothing happens where there is but one.
            (Event::Attempted(Ok(_)) | Event::Closed(..), ..) => {}
        }
        self.consider();
    }

    /// Has those go that need not wait, begins another attempt if calls wait for it still, and does what
    /// the machine says of the present one.
    pub(super) fn consider(&mut self) {
        let Some(pool) = self.state.pool.get() else {
            return;
        };
        pool.look();
        if self.machine.attempt() == Attempt::None && pool.wants_another() {
            self.machine.another(now(), fastrand::f64());
        }
        let attempt = self.machine.attempt();
        pool.set_attempting(attempt != Attempt::None);
        let is_new = |several: &Several<C>| several.attempt.is_none();
        let begun = match attempt {
            Attempt::Dial { until } if self.several.as_deref().is_some_and(is_new) => {
                Some(self.begin(until))
            }
            _ => None,
        };
        let Some(several) = &mut self.several else {
            return;
        };
        match attempt {
            Attempt::None => (several.attempt, several.backoff) = (None, None),
            Attempt::Dial { .. } => {
                several.backoff = None;
                several.attempt = begun.or_else(|| several.attempt.take());
            }
            Attempt::Wait { until } => {
                several.attempt = None;
                let sleep = || Box::pin(tokio::time::sleep_until(until.into()));
                several.backoff.get_or_insert_with(sleep);
            }
        }
    }
}

fn join<H: Connection>(pool: &Pool<H>, connection: &Arc<H>) -> Lane {
    // Asked before calls are sent: what changes after that is told.
    let limit = connection.max_concurrent_streams();
    Lane {
        key: pool.add(connection.clone()),
        limit,
    }
}
