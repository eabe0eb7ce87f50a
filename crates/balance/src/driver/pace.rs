use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Lets the first of a row happen at once, and each further one after a while: a policy whose
/// answer makes whoever asked ask again does not take all of a core.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) const fn new(gap: Duration) -> Self {
        Self { gap, next: None }
    }

    /// Ready when it may happen.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(next) = &mut self.next {
            ready!(next.as_mut().poll(cx));
            self.next = None;
        }
        Poll::Ready(())
    }

    /// It has happened.
    pub(super) fn happened(&mut self) {
        self.next = Some(Box::pin(sleep(self.gap)));
    }
}
