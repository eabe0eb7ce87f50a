use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

/// The outputs of all of them, in their order. Once one is good, the others have only so much `grace`:
/// who is silent must not cost those who have answered. `None` for what has not come by then,
/// or by `deadline`.
pub(super) async fn together<F: Future>(
    all: impl IntoIterator<Item = F>,
    deadline: Instant,
    grace: Duration,
    is_good: impl Fn(&F::Output) -> bool,
) -> Vec<Option<F::Output>> {
    let all = all.into_iter().enumerate();
    let mut pending: FuturesUnordered<_> =
        all.map(async |(index, one)| (index, one.await)).collect();
    let mut outputs: Vec<_> = (0..pending.len()).map(|_| None).collect();
    let mut until = deadline;
    while let Ok(Some((index, output))) = timeout_at(until, pending.next()).await {
        if is_good(&output) {
            until = until.min(Instant::now() + grace);
        }
        if let Some(place) = outputs.get_mut(index) {
            *place = Some(output);
        }
    }
    outputs
}
