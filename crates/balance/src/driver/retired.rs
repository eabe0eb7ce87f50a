use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Snapshots that were replaced and that callers may still have.
///
/// Who drops a snapshot last takes it apart, endpoint by endpoint: no call shall pay for that. So
/// they are kept here until no caller has them.
pub(super) struct Retired<T> {
    values: Vec<Arc<T>>,
    /// When to look again, and how long that was.
    again: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl<T> Retired<T> {
    /// Callers in use have the next snapshot by then.
    const FIRST_LOOK: Duration = Duration::from_millis(100);
    /// A handle that nobody calls keeps its snapshot for as long as it lives.
    const LONGEST: Duration = Duration::from_secs(60);

    pub(super) const fn new() -> Self {
        Self {
            values: Vec::new(),
            again: None,
        }
    }

    pub(super) fn push(&mut self, value: Arc<T>) {
        self.values.push(value);
        self.release(Self::FIRST_LOOK);
    }

    /// Releases those that nobody has any more, when it is time to look.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some((again, after)) = &mut self.again
            && again.as_mut().poll(cx).is_ready()
        {
            let next = after.saturating_mul(2).min(Self::LONGEST);
            self.release(next);
        }
    }

    fn release(&mut self, next_look: Duration) {
        // Nobody can get hold of one that is only here.
        self.values.retain(|value| Arc::strong_count(value) > 1);
        let again = || (Box::pin(sleep(next_look)), next_look);
        self.again = (!self.values.is_empty()).then(again);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_released_soon_after_its_last_reader_let_it_go() {
        let mut retired = Retired::new();
        let value = Arc::new(());
        let released = Arc::downgrade(&value);
        let readers = [value.clone(), value.clone()];
        retired.push(value);
        let looks = poll_fn(|cx| {
            retired.poll(cx);
            match released.upgrade() {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            }
        });
        let (_, later) = tokio::join!(looks, async {
            sleep(Duration::from_secs(1)).await;
            assert!(released.upgrade().is_some(), "while somebody reads it");
            drop(readers);
        });
        later
    }

    #[tokio::test]
    async fn what_nobody_reads_is_released_at_once() {
        let mut retired = Retired::new();
        let value = Arc::new(());
        let released = Arc::downgrade(&value);
        retired.push(value);
        assert!(released.upgrade().is_none());
        assert!(retired.again.is_none());
    }
}
