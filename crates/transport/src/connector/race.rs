use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

/// Tries `candidates` in order, with a head start for each (RFC 8305, section 5): the next one
/// begins when one fails, or when none has been ready for `head_start`. The first to be ready
/// wins.
///
/// For connectors that have several ways to one place. `failed` gets each failure as it comes;
/// `None` when all have failed. Has no limit of its own: dropping it drops every attempt.
///
/// # Panics
///
/// Needs a tokio runtime with time.
pub fn race<A, T, E, F: Future<Output = Result<T, E>>>(
    candidates: impl IntoIterator<Item = A>,
    head_start: Duration,
    mut connect: impl FnMut(A) -> F,
    mut failed: impl FnMut(E),
) -> impl Future<Output = Option<T>> {
    // Not an async fn: that would keep each argument twice, as long as it takes.
    let mut waiting = candidates.into_iter().peekable();
    async move {
        let mut running = Vec::new();
        loop {
            match waiting.next() {
                Some(candidate) => running.push(Box::pin(connect(candidate))),
                None if running.is_empty() => return None,
                None => {}
            }
            let result = if waiting.peek().is_none() {
                first(&mut running).await
            } else if let Ok(result) = Box::pin(timeout(head_start, first(&mut running))).await {
                // In a box: most of the time there is one candidate, and no timer.
                result
            } else {
                continue;
            };
            match result {
                Ok(ready) => return Some(ready),
                Err(error) => failed(error),
            }
        }
    }
}

/// The result of the first that has one; it is taken out.
async fn first<F: Future>(running: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for (index, attempt) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                drop(running.remove(index));
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep};

    const HEAD_START: Duration = Duration::from_millis(250);
    const NEVER: u64 = u64::MAX;

    /// What each candidate does: answers or fails after so many ms. Gives the winner, when each
    /// was started, and who failed.
    async fn run(script: &[(u64, bool)]) -> (Option<usize>, Vec<(usize, u128)>, Vec<usize>) {
        let begun = Instant::now();
        let starts = RefCell::new(Vec::new());
        let mut failures = Vec::new();
        let connect = |index: usize| {
            let (delay, ready) = script[index];
            starts
                .borrow_mut()
                .push((index, begun.elapsed().as_millis()));
            async move {
                sleep(Duration::from_millis(delay)).await;
                if ready { Ok(index) } else { Err(index) }
            }
        };
        let failed = |index| failures.push(index);
        let winner = race(0..script.len(), HEAD_START, connect, failed).await;
        (winner, starts.into_inner(), failures)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_begins_on_a_failure_or_after_the_head_start_and_the_first_ready_wins() {
        for (script, winner, starts, failures) in [
            (&[][..], None, &[][..], &[][..]),
            (&[(10, true), (10, true)], Some(0), &[(0, 0)], &[]),
            (
                &[(10, false), (10, false), (10, true)],
                Some(2),
                &[(0, 0), (1, 10), (2, 20)],
                &[0, 1],
            ),
            // A black hole costs the head start.
            (
                &[(NEVER, true), (10, true)],
                Some(1),
                &[(0, 0), (1, 250)],
                &[],
            ),
            // Slow, but still first.
            (
                &[(300, true), (1000, true)],
                Some(0),
                &[(0, 0), (1, 250)],
                &[],
            ),
            // The failure of one that has had its head start also moves things on.
            (
                &[(300, false), (NEVER, true), (10, true)],
                Some(2),
                &[(0, 0), (1, 250), (2, 300)],
                &[0],
            ),
            (&[(1, false), (1, false)], None, &[(0, 0), (1, 1)], &[0, 1]),
        ] {
            let found = run(script).await;
            assert_eq!(
                found,
                (winner, starts.to_vec(), failures.to_vec()),
                "{script:?}"
            );
        }
    }
}
