mod board;
mod cursor;
mod entries;
mod list;
mod loss;
mod on_loss;
mod outage;
mod probe;
mod recall;
mod share;
mod snapshot;
mod stats;
mod watch;
mod watcher;

pub(crate) use entries::decode;
pub(crate) use list::{list, range_end};
pub use on_loss::{KeepLast, OnLoss};
pub(crate) use share::Shares;
pub use stats::DiscoverStats;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use evenkeel_core::Endpoint;
use evenkeel_discover::{Change, DiscoverError};
use futures_core::Stream;
use tokio::time::Instant;

use crate::{Etcd, EtcdError};
use board::View;
use entries::Entries;
use share::Share;

type Item = Result<Change, DiscoverError>;

/// The endpoints of one service in etcd: listed, then watched from the list's revision on.
///
/// A plain [`Stream`], hence a tower `Discover`; the contract is that of
/// [`evenkeel_discover`].
///
/// - Each answer of etcd is applied as a whole. Writing a key again as it was is no change.
/// - When the watch ends with its connection, it goes on where it was, over another one. When that
///   is not possible (an outage, a compaction, a cluster restored from a backup), everything is
///   listed again and the difference is told. Failed attempts are repeated for ever, 0.1 s to
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
/// - With [`EtcdConfig::snapshot`](crate::EtcdConfig::snapshot) it starts from its last list while
///   etcd is down.
/// - A value without an endpoint in it is skipped, and one that makes sense but for a part of it is
///   used without that part. Both are warned of once per key, and counted each time they are
///   written ([`DiscoverStats::decode_errors`]).
///
/// # What is shared
///
/// Discoveries of the same service over clones of one [`Etcd`] cost etcd one list and one watch; each
/// has its own place in what they tell. One that comes later is told the present list at once, and
/// one that is polled seldom, or never, holds up nobody and takes no more memory than the list does.
///
/// The watch is a task of the runtime in which the first of them is polled, and moves to that of
/// another when this one is shut down. A runtime that is neither shut down nor driven (one whose
/// `block_on` has returned, one whose only thread is blocked) stops it for all of them, also those in
/// other runtimes: give each such runtime an [`Etcd`] of its own. Nothing runs before the first poll, and dropping the last of
/// them ends it.
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
    share: Arc<Share>,
    view: View,
    pending: vec::IntoIter<Item>,
    told_no_runtime: bool,
}

impl EtcdDiscover {
    /// The endpoints of `service`: the keys under `service/`, after the configured prefix.
    #[must_use]
    pub fn watch(etcd: Etcd, service: impl Into<String>) -> Self {
        let share = Share::of(etcd, &service.into());
        Self {
            view: share.enter(),
            share,
            pending: Vec::new().into_iter(),
            told_no_runtime: false,
        }
    }

    /// The endpoints of `service` now, for those who want to know once: one list, shared with nobody.
    /// Values without an endpoint in them are left out, and several keys of one server are one
    /// endpoint, as in [`Self::watch`].
    ///
    /// # Errors
    ///
    /// When etcd does not answer, or refuses; nothing is tried again.
    pub async fn list(etcd: &Etcd, service: &str) -> Result<Vec<Endpoint>, EtcdError> {
        let config = etcd.config();
        let prefix = etcd.key(&config.codec.prefix(service));
        let fetch = Box::pin(list::fetch(etcd.clone(), prefix));
        let (_, (_, keys)) = fetch.await?;
        let mut entries = Entries::new(config, service, Arc::default());
        let now = Instant::now().into_std();
        entries.replace(keys.iter().map(Into::into), true, now);
        let changes = entries.changes().into_iter();
        let endpoints = changes.filter_map(|change| match change {
            Change::Insert(_, endpoint) => Some(endpoint),
            Change::Remove(_) => None,
        });
        Ok(endpoints.collect())
    }

    /// Counters that stay readable when the stream has been given away; those of what it shares
    /// with others.
    #[must_use]
    pub fn stats(&self) -> Arc<DiscoverStats> {
        Arc::clone(&self.share.stats)
    }
}

impl Stream for EtcdDiscover {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.pending.next() {
                return Poll::Ready(Some(item));
            }
            match this.share.take(&mut this.view, cx) {
                Ok(items) if items.is_empty() => return Poll::Pending,
                Ok(items) => this.pending = items.into_iter(),
                Err(error) if !this.told_no_runtime => {
                    this.told_no_runtime = true;
                    return Poll::Ready(Some(Err(this.share.unavailable(error))));
                }
                Err(_) => return Poll::Pending,
            }
        }
    }
}

impl Drop for EtcdDiscover {
    fn drop(&mut self) {
        self.share.leave(&self.view);
    }
}

impl fmt::Debug for EtcdDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdDiscover")
            .field("service", &self.share.service)
            .field("stats", &self.share.stats)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
