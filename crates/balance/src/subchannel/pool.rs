//! What the handles and the driver of a subchannel share that may have several connections.

use std::fmt;
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

    fn open_streams(&self) -> usize {
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
    waker: Mutex<Option<Waker>>,
}

/// What a call does not wait for any longer.
struct Given<H> {
    connection: Arc<H>,
    /// Whose stream it has. `None`: there is no connection left; from the last one, the request comes
    /// back unsent.
    key: Option<ConnectionKey>,
}

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
        let mut connections = self.connections.lock();
        let Some(oldest) = connections.iter().next().map(|oldest| oldest.0.clone()) else {
            return;
        };
        let waiting = connections.clear();
        give_up(&waiting, &oldest);
        drop(connections);
        wake(&waiting);
    }

    /// No more calls go over this one.
    pub(super) fn remove(&self, key: ConnectionKey, lost: &Arc<H>) {
        let mut connections = self.connections.lock();
        let waiting = connections.remove(key);
        give_up(&waiting, lost);
        drop(connections);
        wake(&waiting);
    }
}

impl<H: Connection> Pool<H> {
    /// Begins an attempt; whether its queue calls for another connection. `None`: there is none.
    pub(super) fn admit(self: &Arc<Self>) -> Option<(Connected<H>, Admission<H>, bool)> {
        let place = |number, given| {
            Arc::new(Place {
                pool: self.clone(),
                number,
                given,
                waker: Mutex::default(),
            })
        };
        let mut connections = self.connections.lock();
        match connections.begin() {
            Begun::On(key, Member(connection)) => {
                let given = Given {
                    connection: connection.clone(),
                    key: Some(key),
                };
                let place = place(0, OnceLock::from(given));
                Some((Connected::over(connection), Admission(Some(place)), false))
            }
            Begun::Wait => {
                let place = connections.wait(|number| {
                    let place = place(number, OnceLock::new());
                    (place.clone(), place)
                });
                // A stream that was not counted may have ended, which nobody is told of.
                let given = give(&mut connections);
                let wanted = connections.wants_another();
                drop(connections);
                wake(&given);
                Some((
                    Connected::queued(place.clone()),
                    Admission(Some(place)),
                    wanted,
                ))
            }
            Begun::Nowhere => None,
        }
    }

    /// A connection has been made.
    pub(super) fn add(&self, connection: Arc<H>) -> ConnectionKey {
        self.change(|connections| connections.add(Member(connection)))
    }

    /// Looks again who need not wait: the peers have other limits.
    pub(super) fn look(&self) {
        self.change(|_| ());
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
        place.give(connection, Some(key));
        given.push(place);
    }
    given
}

fn give_up<H>(waiting: &[Arc<Place<H>>], lost: &Arc<H>) {
    for place in waiting {
        place.give(lost.clone(), None);
    }
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
    fn give(&self, connection: Arc<H>, key: Option<ConnectionKey>) {
        // Nobody else has: it was in the queue.
        let _ = self.given.set(Given { connection, key });
    }

    /// What to send over, once it need not wait.
    pub(super) fn connection(&self) -> Option<&Arc<H>> {
        self.given.get().map(|given| &given.connection)
    }

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if self.given.get().is_none() {
            *self.waker.lock() = Some(cx.waker().clone());
            // It may have been given between the two; then nobody wakes it.
            if self.given.get().is_none() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl<H: Connection> Place<H> {
    #[cold]
    fn end(&self) {
        self.pool.change(|connections| match self.given.get() {
            Some(given) => given.key.into_iter().for_each(|key| connections.end(key)),
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
        let waits = self.0.as_ref().map(|place| place.given.get().is_none());
        f.debug_struct("Admission").field("waits", &waits).finish()
    }
}
