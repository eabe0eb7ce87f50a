mod rule;
mod set;
mod stats;

pub use rule::{Fallback, Filter};
pub use stats::FilterStats;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_core::{BoxError, Endpoint};
use futures_core::Stream;
use tower::discover::Discover;

use crate::source::{BATCHES, Batch, Source, now};
use crate::{Change, DiscoverError, EndpointKey};
use set::FilteredSet;

/// The endpoints of a source that a [`Filter`] lets pass; made by
/// [`DiscoverExt::filter_endpoints`](crate::DiscoverExt::filter_endpoints).
///
/// - An endpoint whose metadata changes comes and goes as it begins and ceases to match.
/// - When none matches, the [`Fallback`] says who is used instead. Everything that the source says at
///   one time counts as one: the first list is never half a list that the fallback replaces.
/// - When nobody is left, [`DiscoverError::NoneMatches`] says how many there are.
/// - Reports of the source pass.
pub struct FilterDiscover<D> {
    source: Source<D>,
    set: FilteredSet,
    stats: Arc<FilterStats>,
    pending: VecDeque<Result<Change, DiscoverError>>,
    /// The last thing told was a report: the next change, or another report, has to follow when
    /// the source is well again.
    reported: bool,
    ended: bool,
}

impl<D> FilterDiscover<D> {
    pub(crate) fn new(discover: D, filter: Filter) -> Self {
        Self {
            source: Source::new(discover),
            set: FilteredSet::new(filter),
            stats: Arc::default(),
            pending: VecDeque::new(),
            reported: false,
            ended: false,
        }
    }

    /// What to do when none matches. Default [`Fallback::None`]. To be set before the first item.
    #[must_use]
    pub fn with_fallback(mut self, fallback: Fallback) -> Self {
        self.set.set_fallback(fallback);
        self
    }

    /// Counters that stay readable when the stream has been given away.
    #[must_use]
    pub fn stats(&self) -> Arc<FilterStats> {
        Arc::clone(&self.stats)
    }

    /// The source under the filter.
    pub fn get_ref(&self) -> &D {
        self.source.get_ref()
    }

    fn take(&mut self, batch: Batch) {
        let mut spoken = false;
        for item in batch.items {
            match item {
                Ok(change) => {
                    self.set.take(change);
                    spoken = true;
                }
                Err(report) => {
                    // What came before the report is told before it.
                    if std::mem::take(&mut spoken) {
                        self.tell();
                    }
                    self.pending.push_back(Err(report));
                    self.reported = true;
                }
            }
        }
        if spoken {
            self.tell();
        }
        self.ended = batch.ended;
    }

    fn tell(&mut self) {
        let changes = self.set.changes();
        self.stats.note(&self.set, now());
        let told = changes.len();
        self.pending.extend(changes.into_iter().map(Ok));
        if let Some(report) = self.set.nobody_left(self.reported) {
            self.pending.push_back(Err(report));
        } else if told == 0 && self.reported {
            // Told once more as it is, because nothing else says that the source is well again.
            self.pending.extend(self.set.any().map(Ok));
        }
        self.reported = false;
    }
}

impl<D> Stream for FilterDiscover<D>
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
    type Item = Result<Change, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        for _ in 0..BATCHES {
            if let Some(item) = self.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let batch = ready!(self.source.poll_batch(cx));
            self.take(batch);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<D> Unpin for FilterDiscover<D> {}

impl<D: fmt::Debug> fmt::Debug for FilterDiscover<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterDiscover")
            .field("source", self.source.get_ref())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
