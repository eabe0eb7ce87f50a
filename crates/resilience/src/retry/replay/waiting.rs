use std::mem;
use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// The readers that wait for the source. Its lock is never held while the source is polled, which
/// may wake from within.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<(u32, Waker)>>);

impl Waiting {
    pub(super) fn register(&self, reader: u32, waker: &Waker) {
        let mut list = self.0.lock();
        match list.iter_mut().find(|(id, _)| *id == reader) {
            Some((_, known)) => known.clone_from(waker),
            None => list.push((reader, waker.clone())),
        }
    }

    pub(super) fn wake_all(&self) {
        let list = mem::take(&mut *self.0.lock());
        for (_, waker) in list {
            waker.wake();
        }
    }

    /// Wakes all but `reader`, which is running and waits no longer.
    pub(super) fn wake_others(&self, reader: u32) {
        let mut list = mem::take(&mut *self.0.lock());
        list.retain(|(id, _)| *id != reader);
        for (_, waker) in list {
            waker.wake();
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
