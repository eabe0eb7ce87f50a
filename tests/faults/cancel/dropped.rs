use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is polled again and again, and dropped before its poll with a given number; or it ends
/// by itself.
pub(super) struct Dropped<F> {
    future: Option<Pin<Box<F>>>,
    polls: u32,
}

impl<F: Future<Output = ()>> Dropped<F> {
    pub(super) fn at(polls: u32, future: F) -> Self {
        Self {
            future: Some(Box::pin(future)),
            polls,
        }
    }
}

impl<F: Future<Output = ()>> Future for Dropped<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(left) = self.polls.checked_sub(1) else {
            self.future = None;
            return Poll::Ready(());
        };
        self.polls = left;
        let future = self.future.as_mut().expect("it was not dropped");
        let polled = future.as_mut().poll(cx);
        match polled {
            Poll::Ready(()) => self.future = None,
            // It goes on though nothing has happened: some of the polls come in the middle of a wait.
            Poll::Pending => cx.waker().wake_by_ref(),
        }
        polled
    }
}
