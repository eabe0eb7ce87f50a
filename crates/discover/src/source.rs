use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel_core::{BoxError, Endpoint};
use tower::discover::Discover;

use crate::{Change, DiscoverError, EndpointKey};

/// A source under a combinator, whoever made it: read in batches, its errors are reports.
#[derive(Debug)]
pub(crate) struct Source<D> {
    discover: D,
    /// Since when it has given nothing but errors.
    failing_since: Option<Instant>,
    ended: bool,
}

/// All that a source had to say at one time.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Result<Change, DiscoverError>>,
    /// It has ended after them.
    pub(crate) ended: bool,
}

/// Items of a batch beyond twice as many as there are endpoints: a list of any length is one batch,
/// and a source that never pauses is not read for ever.
const BURST: usize = 256;

/// Batches that may come to nothing before others get their turn.
pub(crate) const BATCHES: usize = 4;

impl<D> Source<D> {
    pub(crate) fn new(discover: D) -> Self {
        Self {
            discover,
            failing_since: None,
            ended: false,
        }
    }

    pub(crate) fn get_ref(&self) -> &D {
        &self.discover
    }

    /// Ready with what has come since the last time; for ever pending after the end.
    pub(crate) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Batch>
    where
        D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
        D::Error: Into<BoxError>,
    {
        if self.ended {
            return Poll::Pending;
        }
        let mut batch = Batch::default();
        let mut listed = HashSet::new();
        while batch.items.len() < BURST + 2 * listed.len() {
            match Pin::new(&mut self.discover).poll_discover(cx) {
                Poll::Pending if batch.items.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(batch),
                Poll::Ready(None) => {
                    self.ended = true;
                    batch.ended = true;
                    return Poll::Ready(batch);
                }
                Poll::Ready(Some(Ok(change))) => {
                    self.failing_since = None;
                    if let Change::Insert(key, _) = &change {
                        listed.insert(key.clone());
                    }
                    batch.items.push(Ok(change));
                }
                Poll::Ready(Some(Err(error))) => {
                    let report = self.report(error.into());
                    batch.items.push(Err(report));
                    // What fails over and over may never pause.
                    return Poll::Ready(batch);
                }
            }
        }
        Poll::Ready(batch)
    }

    /// What other sources call an error says that they cannot be asked.
    fn report(&mut self, error: BoxError) -> DiscoverError {
        let now = now();
        let since = *self.failing_since.get_or_insert(now);
        match error.downcast::<DiscoverError>() {
            Ok(report) => *report,
            Err(other) => DiscoverError::unavailable("the source", since, now, other),
        }
    }
}

/// The time by tokio's clock, which tests pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
