//! What the handles and the driver of a subchannel share that may have several connections.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use evenkeel_policy::subchannel::{Begun, Capacity, ConnectionKey, Connections};
use evenkeel_transport::Connection;
use parking_lot::Mutex;

use super::Connected;

/// The connections, and the calls that wait for a stream.
pub(super) struct Pool<H> {
    connections: Mutex<Queue<H>>,
}

type Queue<H> = Connections<Member<H>, Arc<Place<H>>>;

/// One of them.
struct Member<H>(Arc<H>);

impl<H> Clone for Member<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Connection> Capacity for Member<H> {
    fn max_concurrent_streams(&self) -> usize {
        self.0.max_concurrent_streams()
    }

    fn open_streams(&self) -> Option<usize> {
        self.0.open_streams()
    }
}

/// A call's place on a connection, or in the queue for one.
pub(super) struct Place<H> {
    pool: Arc<Pool<H>>,
    /// In the queue, if it has waited.
    number: u64,
    /// Set under the pool's lock.
    given: OnceLock<Given<H>>,
    /// Whether it has opened the stream that it was given, or has ended. Set under the pool's lock.
    is_opened: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// What a call does not wait for any longer.
enum Given<H> {
    /// A stream of this connection.
    Stream(ConnectionKey, Arc<H>),
    /// There is no connection left.
    Nothing,
}

/// The last connection of a subchannel was lost, or given up, while a call waited for a stream: it never
/// left, and may go elsewhere.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no connection is left that it could wait for")]
pub(crate) struct LeftBehind;

/// What an attempt holds of its subchannel: a stream, or a place in the queue for one; nothing where
/// there is but one connection, whose streams nobody counts here.
pub struct Admission<H: Connection>(Option<Arc<Place<H>>>);

impl<H> Pool<H> {
    /// None yet, and no more than `most`.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            connections: Mutex::new(Connections::new(most)),
        }
    }

    /// How many connections there may be.
    pub(super) fn most(&self) -> usize {
        self.connections.lock().most()
    }

    /// Whether that is another number than before.
    pub(super) fn set_most(&self, most: usize) -> bool {
        self.connections.lock().set_most(most)
    }

    /// The oldest one.
    pub(super) fn oldest(&self) -> Option<Arc<H>> {
        let connections = self.connections.lock();
        connections.iter().next().map(|oldest| oldest.0.clone())
    }

    /// No more calls go over any of them.
    pub(super) fn close(&self) {
        self.leave_behind(Connections::clear);
    }

    /// No more calls go over this one.
    pub(super) fn remove(&self, key: ConnectionKey) {
        self.leave_behind(|connections| connections.remove(key));
    }

    fn leave_behind(&self, lose: impl FnOnce(&mut Queue<H>) -> Vec<Arc<Place<H>>>) {
        let mut connections = self.connections.lock();
        let waiting = lose(&mut connections);
        for place in &waiting {
            place.give(Given::Nothing);
        }
        drop(connections);
        wake(&waiting);
    }
}

impl<H: Connection> Pool<H> {
    /// Begins an attempt; whether the driver is to look at its queue. `None`: there is no connection.
    pub(super) fn admit(self: &Arc<Self>) -> Option<(Connected<H>, Admission<H>, bool)> {
        let place = |number, given| {
            Arc::new(Place {
                pool: self.clone(),
                number,
                given,
                is_opened: AtomicBool::new(false),
                waker: Mutex::default(),
            })
        };
        let mut connections = self.connections.lock();
        match connections.begin() {
            Begun::On(key, Member(connection)) => {
                let place = place(0, OnceLock::from(Given::Stream(key, connection)));
                Some((
                    Connected::pooled(place.clone()),
                    Admission(Some(place)),
                    false,
                ))
            }
            Begun::Wait => {
                let place = connections.wait(|number| {
                    let place = place(number, OnceLock::new());
                    (place.clone(), place)
                });
                // A stream may have ended that others had, and the driver has yet to see it.
                let given = give(&mut connections);
                // The first one has the driver watch the streams that it does not give.
                let looks = connections.waiting() == 1 || connections.wants_another();
                drop(connections);
                wake(&given);
                Some((
                    Connected::pooled(place.clone()),
                    Admission(Some(place)),
                    looks,
                ))
            }
            Begun::Nowhere => None,
        }
    }

    /// A connection has been made.
    pub(super) fn add(&self, connection: Arc<H>) -> ConnectionKey {
        self.change(|connections| connections.add(Member(connection)))
    }

    /// Looks again who need not wait: the peers have other limits, or streams of others have ended.
    pub(super) fn look(&self) {
        self.change(|_| ());
    }

    /// Ready when a call waits that need not. While calls wait, the task is woken when a stream ends,
    /// whoever had it.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let connections = self.connections.lock();
        if connections.waiting() == 0 {
            return Poll::Pending;
        }
        for Member(connection) in connections.iter() {
            connection.wake_at_stream_end(cx);
        }
        match connections.is_due() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Whether another connection is to be tried for; asked before each attempt.
    pub(super) fn wants_another(&self) -> bool {
        let mut connections = self.connections.lock();
        connections.set_attempting(false);
        connections.wants_another()
    }

    /// There is an attempt now, or the backoff after one.
    pub(super) fn set_attempting(&self, attempting: bool) {
        self.connections.lock().set_attempting(attempting);
    }

    fn change<R>(&self, change: impl FnOnce(&mut Queue<H>) -> R) -> R {
        let mut connections = self.connections.lock();
        let result = change(&mut connections);
        let given = give(&mut connections);
        drop(connections);
        wake(&given);
        result
    }
}

/// Gives streams to those who need not wait any longer, and who have to be woken.
fn give<H: Connection>(connections: &mut Queue<H>) -> Vec<Arc<Place<H>>> {
    let mut given = Vec::new();
    while let Some((place, key, Member(connection))) = connections.give() {
        place.give(Given::Stream(key, connection));
        given.push(place);
    }
    given
}

fn wake<H>(places: &[Arc<Place<H>>]) {
    for place in places {
        let waker = place.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<H> Place<H> {
    fn give(&self, given: Given<H>) {
        // Nobody else has: it was in the queue.
        let _ = self.given.set(given);
    }

    pub(super) fn waits(&self) -> bool {
        self.given.get().is_none()
    }

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), LeftBehind>> {
        if self.waits() {
            *self.waker.lock() = Some(cx.waker().clone());
        }
        // It may have been given between the two; then nobody wakes it.
        match self.given.get() {
            None => Poll::Pending,
            Some(Given::Stream(..)) => Poll::Ready(Ok(())),
            Some(Given::Nothing) => Poll::Ready(Err(LeftBehind)),
        }
    }
}

impl<H: Connection> Place<H> {
    /// Opens its stream by `send`, once it is ready.
    pub(super) fn send<F>(&self, send: impl FnOnce(&H) -> F) -> F {
        let Some(Given::Stream(key, connection)) = self.given.get() else {
            panic!("called before it was ready");
        };
        let sent = send(connection);
        // Only now does its connection count it: between the two, it counts twice and not never.
        self.pool.change(|connections| {
            if !self.is_opened.swap(true, Ordering::Relaxed) {
                connections.opened(*key);
            }
        });
        sent
    }

    #[cold]
    fn end(&self) {
        self.pool.change(|connections| match self.given.get() {
            Some(Given::Stream(key, _)) => {
                connections.end(*key, self.is_opened.swap(true, Ordering::Relaxed));
            }
            Some(Given::Nothing) => {}
            None => {
                connections.leave(self.number);
            }
        });
    }
}

impl<H: Connection> Admission<H> {
    /// To a subchannel that has one connection.
    pub(super) const fn uncounted() -> Self {
        Self(None)
    }
}

impl<H: Connection> Drop for Admission<H> {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.end();
        }
    }
}

impl<H: Connection> fmt::Debug for Admission<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.0.as_ref().map(|place| place.waits());
        f.debug_struct("Admission").field("waits", &waits).finish()
    }
}
