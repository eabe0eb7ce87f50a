mod cursor;
mod entries;
mod list;
mod loss;
mod on_loss;
mod outage;
mod probe;
mod stats;
mod watch;
mod watcher;

pub use on_loss::{KeepLast, OnLoss};
pub use stats::DiscoverStats;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_discover::{Change, DiscoverError};
use futures_core::Stream;

use crate::Etcd;
use watcher::Watcher;

type Item = Result<Change, DiscoverError>;

/// The endpoints of one service in etcd: listed, then watched from the list's revision on.
///
/// A plain [`Stream`], hence a tower `Discover`; the contract is that of
/// [`evenkeel_discover`].
///
/// - Each answer of etcd is applied as a whole. Writing a key again as it was is no change.
/// - When the watch ends for whatever reason (an outage, a compaction, a member without a leader,
///   a cluster restored from a backup), everything is listed again at once and the difference
///   is told. Failed attempts are repeated for ever, 0.1 s to
///   [`EtcdConfig::max_backoff`](crate::EtcdConfig::max_backoff) apart.
/// - An outage never removes an endpoint. After
///   [`EtcdConfig::report_after`](crate::EtcdConfig::report_after), and at every later attempt, it is
///   reported as [`DiscoverError::Unavailable`]; a refused name or password at once.
/// - An etcd that misses many endpoints at once (their leases expired together, its data was lost
///   or restored from a backup) does not empty the list either: they are kept as
///   [`EtcdConfig::on_loss`](crate::EtcdConfig::on_loss) says, by default for a minute or until
///   nobody listens at their address.
/// - When nobody is left, [`DiscoverError::Empty`] is reported.
/// - A watch that says nothing is asked for its progress every
///   [`EtcdConfig::progress_every`](crate::EtcdConfig::progress_every), and given up with its
///   connection if it does not answer.
/// - A value without an endpoint in it is skipped, with one warning per key, and counted
///   ([`DiscoverStats::decode_errors`]).
///
/// It runs while it is polled, within a Tokio runtime, and owns what it runs: no task, and dropping
/// it ends the watch.
///
/// ```no_run
/// use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover};
///
/// let etcd = Etcd::new(EtcdConfig::default())?;
/// let endpoints = EtcdDiscover::watch(etcd, "user-service"); // the keys user-service/…
/// # drop(endpoints);
/// # Ok::<(), evenkeel_etcd::EtcdError>(())
/// ```
pub struct EtcdDiscover {
    service: String,
    stats: Arc<DiscoverStats>,
    pending: VecDeque<Item>,
    next: Pin<Box<dyn Future<Output = (Watcher, Vec<Item>)> + Send>>,
}

impl EtcdDiscover {
    /// The endpoints of `service`: the keys under `service/`, after the configured prefix.
    #[must_use]
    pub fn watch(etcd: Etcd, service: impl Into<String>) -> Self {
        let service = service.into();
        let stats = Arc::new(DiscoverStats::default());
        let watcher = Watcher::new(etcd, &service, Arc::clone(&stats));
        Self {
            service,
            stats,
            pending: VecDeque::new(),
            next: Box::pin(watcher.next()),
        }
    }

    /// Counters that stay readable when the stream has been given away.
    #[must_use]
    pub fn stats(&self) -> Arc<DiscoverStats> {
        Arc::clone(&self.stats)
    }
}

impl Stream for EtcdDiscover {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            let (watcher, news) = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(watcher.next());
            self.pending.extend(news);
        }
    }
}

impl fmt::Debug for EtcdDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdDiscover")
            .field("service", &self.service)
            .field("stats", &self.stats)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
