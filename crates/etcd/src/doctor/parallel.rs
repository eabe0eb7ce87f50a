use std::future::Future;

use tokio::task::JoinSet;

/// How many questions are under way at the same time.
const LIMIT: usize = 32;

/// Asks for each item and gives the answers with them, in any order. Dropping it ends what is
/// under way.
pub(super) async fn in_parallel<T, O, F>(
    items: impl IntoIterator<Item = T>,
    ask: impl Fn(T) -> F,
) -> Vec<O>
where
    F: Future<Output = O> + Send + 'static,
    O: Send + 'static,
{
    let mut answers = Vec::new();
    let mut running = JoinSet::new();
    for item in items {
        if running.len() >= LIMIT {
            answers.extend(running.join_next().await.and_then(Result::ok));
        }
        running.spawn(ask(item));
    }
    while let Some(answer) = running.join_next().await {
        // One that panicked or was cancelled has no answer.
        answers.extend(answer.ok());
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_are_asked_and_few_at_a_time() {
        let running = Arc::new(AtomicUsize::new(0));
        let mut answers = in_parallel(0..200, |item| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::Relaxed) < LIMIT);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
                item
            }
        })
        .await;
        answers.sort_unstable();
        assert_eq!(answers, (0..200).collect::<Vec<_>>());
    }
}
