use std::future::Future;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How many questions are under way at the same time.
const LIMIT: usize = 32;

/// Asks for each item and gives the answers, in any order, up to one that is `enough`, or those
/// that came `until` then. Dropping it ends what is under way.
pub(super) async fn in_parallel<T, O, F>(
    items: impl IntoIterator<Item = T>,
    ask: impl Fn(T) -> F,
    enough: impl Fn(&O) -> bool,
    until: Instant,
) -> Vec<O>
where
    F: Future<Output = O> + Send + 'static,
    O: Send + 'static,
{
    let mut items = items.into_iter();
    let mut answers = Vec::new();
    let mut running = JoinSet::new();
    loop {
        for item in items.by_ref().take(LIMIT - running.len()) {
            running.spawn(ask(item));
        }
        let Ok(Some(answer)) = timeout_at(until, running.join_next()).await else {
            return answers;
        };
        // One that panicked or was cancelled has no answer.
        let Ok(answer) = answer else {
            continue;
        };
        let is_enough = enough(&answer);
        answers.push(answer);
        if is_enough {
            return answers;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn all_are_asked_and_few_at_a_time() {
        let running = Arc::new(AtomicUsize::new(0));
        let ask = |item| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::Relaxed) < LIMIT);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
                item
            }
        };
        let mut answers = in_parallel(0..200, ask, |_| false, soon()).await;
        answers.sort_unstable();
        assert_eq!(answers, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn nobody_is_asked_after_an_answer_that_is_enough() {
        let ask = |item| async move {
            if item > 0 {
                std::future::pending::<()>().await;
            }
            item
        };
        let answers = in_parallel(0..200, ask, |item| *item == 0, soon()).await;
        assert_eq!(answers, [0]);
    }

    #[tokio::test]
    async fn nobody_is_waited_for_when_it_is_too_late() {
        let ask = |_| std::future::pending::<u8>();
        assert_eq!(
            in_parallel(0..200, ask, |_| false, Instant::now()).await,
            [0; 0]
        );
    }
}
