use std::fmt;
use std::mem;
use std::task::{Context, Waker};

use smallvec::SmallVec;

/// The tasks that wait for the next change of something. Its owner keeps them beside it, under
/// the same lock: who finds nothing new [waits](Self::wait) before the lock is released, and who
/// changes it [takes](Self::take) them, releases the lock, and wakes them.
///
/// In the place of a `watch` channel where there are many thousands, each with one waiter nearly
/// always: this is 48 bytes, and allocates from the second waiter on.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use evenkeel_core::Waiters;
///
/// let (mut value, mut waiters) = (0, Waiters::new());
/// let waiter = waiters.enter();
/// let mut next = |value: i32, seen: i32, cx: &Context<'_>| {
///     if value != seen {
///         return Poll::Ready(value);
///     }
///     waiters.wait(&waiter, cx);
///     Poll::Pending
/// };
/// let cx = Context::from_waker(Waker::noop());
/// assert!(next(value, 0, &cx).is_pending());
/// value += 1;
/// waiters.take().wake();
/// ```
#[derive(Default)]
pub struct Waiters {
    entered: u64,
    waiting: SmallVec<[(u64, Waker); 1]>,
}

/// Who may wait: one of them has one waker at a time. To be [removed](Waiters::leave) when its
/// owner is dropped, or its last waker stays until the next change.
#[derive(Debug)]
pub struct Waiter(u64);

/// Those that waited for a change that has come.
#[derive(Default)]
#[must_use = "they wait for it"]
pub struct Waited(SmallVec<[(u64, Waker); 1]>);

impl Waiters {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody who may wait from now on.
    pub fn enter(&mut self) -> Waiter {
        self.entered += 1;
        Waiter(self.entered)
    }

    /// The task of `cx` is woken by the next change, in the place of the one `waiter` gave last.
    pub fn wait(&mut self, waiter: &Waiter, cx: &Context<'_>) {
        match self.waiting.iter_mut().find(|(it, _)| *it == waiter.0) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.waiting.push((waiter.0, cx.waker().clone())),
        }
    }

    /// `waiter` waits no longer.
    pub fn leave(&mut self, waiter: &Waiter) {
        self.waiting.retain(|(it, _)| *it != waiter.0);
    }

    /// Everybody who waits, to be woken when the lock is released.
    pub fn take(&mut self) -> Waited {
        Waited(mem::take(&mut self.waiting))
    }
}

impl Waited {
    /// Wakes them.
    pub fn wake(self) {
        for (_, waker) in self.0 {
            waker.wake();
        }
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waited").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits in a task of its own.
    fn wait(waiters: &mut Waiters, waiter: &Waiter) -> Arc<Task> {
        let task = Arc::new(Task::default());
        let waker = Waker::from(task.clone());
        waiters.wait(waiter, &Context::from_waker(&waker));
        task
    }

    fn woken(task: &Task) -> usize {
        task.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_change_wakes_everybody_once() {
        let mut waiters = Waiters::new();
        let both = [waiters.enter(), waiters.enter()];
        let tasks = both.each_ref().map(|waiter| wait(&mut waiters, waiter));
        waiters.take().wake();
        waiters.take().wake();
        assert_eq!(tasks.each_ref().map(|task| woken(task)), [1, 1]);
    }

    #[test]
    fn only_the_last_task_of_a_waiter_is_woken_and_the_others_are_let_go() {
        let mut waiters = Waiters::new();
        let waiter = waiters.enter();
        let first = wait(&mut waiters, &waiter);
        let second = wait(&mut waiters, &waiter);
        assert_eq!(Arc::strong_count(&first), 1);
        waiters.take().wake();
        assert_eq!((woken(&first), woken(&second)), (0, 1));
    }

    #[test]
    fn who_has_left_is_not_woken_and_is_let_go() {
        let mut waiters = Waiters::new();
        let (stays, leaves) = (waiters.enter(), waiters.enter());
        let stayed = wait(&mut waiters, &stays);
        let left = wait(&mut waiters, &leaves);
        waiters.leave(&leaves);
        assert_eq!(Arc::strong_count(&left), 1);
        waiters.take().wake();
        assert_eq!((woken(&stayed), woken(&left)), (1, 0));
    }

    #[test]
    fn it_is_as_small_as_it_says() {
        assert!(size_of::<Waiters>() <= 48);
    }
}
