mod keeper;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use evenkeel_core::{BoxError, Endpoint};
use futures_core::Stream;
use parking_lot::Mutex;
use tower::discover::Discover;

use crate::alarm::Alarm;
use crate::source::{BATCHES, Batch, Source, now};
use crate::{Change, DiscoverError, EndpointKey};
use keeper::Keeper;

/// When [`KeepLastGood`] believes that endpoints are gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeepLastGoodConfig {
    /// The share of the list that may go at once; a loss of more, or of the last endpoint, is held
    /// back. What the source says at one time is held back as a whole; of a loss that it tells
    /// bit by bit, as much as this is believed before the rest is held. Default 0.5; from 0 to 1,
    /// what is outside counts as the nearer one.
    pub max_loss: f64,
    /// What goes within this time goes at once. Default 1 s; 0 for what the source says at one time.
    pub window: Duration,
    /// How long a loss is held back while the source works; while it does not, the time stands still.
    /// Default 10 min; [`Duration::MAX`] is for ever.
    pub keep_for: Duration,
    /// Whether every loss is believed at once, even that of all. Default false. What a source
    /// leaves behind when it ends is kept in any case.
    pub accept_empty: bool,
}

impl Default for KeepLastGoodConfig {
    fn default() -> Self {
        Self {
            max_loss: 0.5,
            window: Duration::from_secs(1),
            keep_for: Duration::from_secs(600),
            accept_empty: false,
        }
    }
}

/// Keeps the endpoints of a source that loses them; made by
/// [`DiscoverExt::keep_last_good`](crate::DiscoverExt::keep_last_good), for sources that take an
/// outage for an empty list, or that end.
///
/// - Who comes is told at once. Who goes is told too, unless too many go: see
///   [`KeepLastGoodConfig`]. Those who are held back come back unnoticed, also under another key.
/// - When the source ends, its endpoints stay, its end is reported, and this stream goes on: with
///   another source when it is [`restarting`](Self::restarting).
/// - Reports pass.
///
/// `EtcdDiscover` does not need it: it knows more of its losses than a stream of changes tells.
///
/// It must be polled within a tokio runtime.
pub struct KeepLastGood<D> {
    source: Source<D>,
    keeper: Keeper,
    stats: Arc<KeepStats>,
    pending: VecDeque<Result<Change, DiscoverError>>,
    alarm: Alarm,
    restart: Option<Restart<D>>,
}

/// How a source that has ended is made again.
struct Restart<D> {
    make: Box<dyn FnMut() -> D + Send>,
    /// When to do so, after an end.
    due: Option<Instant>,
    delay: Duration,
    alarm: Alarm,
}

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// How a [`KeepLastGood`] is doing; readable while the stream itself is with the balancer.
#[derive(Debug, Default)]
pub struct KeepStats {
    held: AtomicUsize,
    losses: AtomicU64,
    released: AtomicU64,
    stale_since: Mutex<Option<Instant>>,
}

impl KeepStats {
    /// How many endpoints are told although the source has them no more.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How often a loss was held back.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// How many endpoints were removed because they had been held back for long enough.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Since when the list may be out of date: the source cannot be asked, or endpoints are held.
    #[must_use]
    pub fn stale_since(&self) -> Option<Instant> {
        *self.stale_since.lock()
    }

    fn note(&self, keeper: &Keeper) {
        self.held.store(keeper.held(), Ordering::Relaxed);
        self.losses.store(keeper.losses(), Ordering::Relaxed);
        self.released.store(keeper.released(), Ordering::Relaxed);
        *self.stale_since.lock() = keeper.stale_since();
    }
}

impl<D> KeepLastGood<D> {
    pub(crate) fn new(discover: D, config: KeepLastGoodConfig) -> Self {
        Self {
            source: Source::new(discover),
            keeper: Keeper::new(config),
            stats: Arc::default(),
            pending: VecDeque::new(),
            alarm: Alarm::default(),
            restart: None,
        }
    }

    /// A source that `make` makes, and makes again 1 s to 30 s after it has ended; an endpoint that
    /// the next one does not have is held back like any other.
    pub fn restarting(
        mut make: impl FnMut() -> D + Send + 'static,
        config: KeepLastGoodConfig,
    ) -> Self {
        let mut this = Self::new(make(), config);
        this.restart = Some(Restart {
            make: Box::new(make),
            due: None,
            delay: FIRST_DELAY,
            alarm: Alarm::default(),
        });
        this
    }

    /// Counters that stay readable when the stream has been given away.
    #[must_use]
    pub fn stats(&self) -> Arc<KeepStats> {
        Arc::clone(&self.stats)
    }

    /// The source under it: the present one, if there were several.
    pub fn get_ref(&self) -> &D {
        self.source.get_ref()
    }

    fn take(&mut self, batch: Batch) {
        let now = now();
        for item in batch.items {
            match item {
                Ok(change) => {
                    if let Some(restart) = &mut self.restart {
                        restart.delay = FIRST_DELAY;
                    }
                    let changes = self.keeper.take(change, now);
                    self.pending.extend(changes.into_iter().map(Ok));
                }
                Err(report) => {
                    // What came before the report is told before it.
                    let changes = self.keeper.settle(now);
                    self.pending.extend(changes.into_iter().map(Ok));
                    if report.is_empty() {
                        self.keeper.is_up(now);
                    } else {
                        self.keeper.is_down(now);
                    }
                    self.pending.push_back(Err(report));
                }
            }
        }
        let changes = self.keeper.settle(now);
        self.pending.extend(changes.into_iter().map(Ok));
        if batch.ended {
            self.keeper.lose_all(now);
            let since = self.keeper.stale_since().unwrap_or(now);
            let report = DiscoverError::unavailable("the source", since, now, "it has ended");
            self.pending.push_back(Err(report));
            if let Some(restart) = &mut self.restart {
                restart.due = now.checked_add(restart.delay);
                restart.delay = (restart.delay * 2).min(LONGEST_DELAY);
            }
        }
    }
}

impl<D> Stream for KeepLastGood<D>
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
    type Item = Result<Change, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        for _ in 0..BATCHES {
            if let Some(item) = this.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            if let Some(restart) = &mut this.restart
                && restart.alarm.poll(restart.due, cx).is_ready()
            {
                restart.due = None;
                this.source = Source::new((restart.make)());
            }
            if let Poll::Ready(batch) = this.source.poll_batch(cx) {
                this.take(batch);
            } else if this.alarm.poll(this.keeper.due(), cx).is_ready() {
                let released = this.keeper.release(now());
                this.pending.extend(released.into_iter().map(Ok));
            } else {
                return Poll::Pending;
            }
            this.stats.note(&this.keeper);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<D> Unpin for KeepLastGood<D> {}

impl<D: fmt::Debug> fmt::Debug for KeepLastGood<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepLastGood")
            .field("source", self.source.get_ref())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
