use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::connection::Shared;

/// How many streams are open, and who wants to know when one ends: for most connections nobody, and
/// then it costs one load.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: AtomicUsize,
    is_watched: AtomicBool,
    watch: Mutex<Option<Waker>>,
}

impl Streams {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Has the task woken when the next stream ends. What [`Self::open`] says after this is either told
    /// of that end, or the task is woken for it.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        let mut watch = self.watch.lock();
        match &mut *watch {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *watch = Some(cx.waker().clone()),
        }
        self.is_watched.store(true, Ordering::SeqCst);
    }

    fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn end(&self) {
        // Of this and what a watcher does, one sees the other: both are in one order.
        self.open.fetch_sub(1, Ordering::SeqCst);
        if self.is_watched.load(Ordering::SeqCst) {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        let mut watch = self.watch.lock();
        self.is_watched.store(false, Ordering::SeqCst);
        let waker = watch.take();
        drop(watch);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What a call has of its connection: its stream counts as open for as long as this lives.
pub(super) struct OpenStream(Arc<Shared>);

impl OpenStream {
    #[inline]
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.streams.begin();
        Self(Arc::clone(shared))
    }
}

impl Deref for OpenStream {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for OpenStream {
    #[inline]
    fn drop(&mut self) {
        self.0.streams.end();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_waits_for_the_end_of_a_stream_is_woken_by_the_next_one_and_once() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        let count = || woken.0.load(Ordering::Relaxed);
        let streams = Streams::default();
        for _ in 0..4 {
            streams.begin();
        }
        streams.end();
        streams.watch(&cx);
        assert_eq!((count(), streams.open()), (0, 3));
        streams.end();
        streams.end();
        assert_eq!((count(), streams.open()), (1, 1));
        streams.watch(&cx);
        streams.watch(&cx);
        streams.end();
        assert_eq!((count(), streams.open()), (2, 0));
    }
}
