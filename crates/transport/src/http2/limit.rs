use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Who wants to know when the peer's MAX_CONCURRENT_STREAMS changes: for most connections nobody, and
/// then it costs one load after a read.
#[derive(Debug, Default)]
pub(super) struct Limit {
    is_watched: AtomicBool,
    watch: Mutex<Option<Watch>>,
}

#[derive(Debug)]
struct Watch {
    seen: usize,
    waker: Waker,
}

impl Limit {
    /// Ready when `present`, which is asked under the lock, is another than `seen`.
    pub(super) fn poll_changed(
        &self,
        seen: usize,
        present: impl FnOnce() -> usize,
        cx: &Context<'_>,
    ) -> Poll<usize> {
        let mut watch = self.watch.lock();
        // Before the present value is read: else a change in between would not be told.
        self.is_watched.store(true, Ordering::Release);
        let present = present();
        if present != seen {
            return Poll::Ready(present);
        }
        *watch = Some(Watch {
            seen,
            waker: cx.waker().clone(),
        });
        Poll::Pending
    }

    /// SETTINGS may have come.
    pub(super) fn look(&self, present: impl FnOnce() -> usize) {
        if self.is_watched.load(Ordering::Acquire) {
            self.compare(present());
        }
    }

    #[cold]
    fn compare(&self, present: usize) {
        let changed = self.watch.lock().take_if(|watch| watch.seen != present);
        if let Some(watch) = changed {
            watch.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
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
    fn whoever_waits_is_woken_once_by_another_value_and_not_by_the_same() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        let count = || woken.0.load(Ordering::Relaxed);
        let limit = Limit::default();
        limit.look(|| unreachable!("nobody wants to know"));
        assert_eq!(limit.poll_changed(1, || 2, &cx), Poll::Ready(2));
        assert_eq!(limit.poll_changed(2, || 2, &cx), Poll::Pending);
        limit.look(|| 2);
        assert_eq!(count(), 0);
        limit.look(|| 3);
        limit.look(|| 4);
        assert_eq!(count(), 1);
        assert_eq!(limit.poll_changed(2, || 4, &cx), Poll::Ready(4));
    }
}
