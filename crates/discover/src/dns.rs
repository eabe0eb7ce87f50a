mod config;
mod lookup;
mod name;
mod pace;
mod records;
mod resolver;
mod together;
mod watcher;

pub use config::DnsConfig;
pub use name::DnsError;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use evenkeel_core::Target;
use futures_core::Stream;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Change, DiscoverError};
use lookup::Lookup;
use name::Name;
use watcher::Watcher;

type Item = Result<Change, DiscoverError>;

/// The endpoints that DNS has for a name, looked up again when their TTL is over.
///
/// - **Addresses**: `users.internal:8090` is one endpoint per A and AAAA record, both families in turn.
///   The port is 443 unless it is given.
/// - **SRV**: a name that starts with `_`, such as `_grpc._tcp.users.internal`, is one endpoint per
///   record, with all addresses of its target; the record's weight is the endpoint's. Only the
///   records of the lowest priority count, unless [`DnsConfig::all_priorities`].
/// - The next lookup is when the TTL of the answer is over, within
///   [`min_ttl`](DnsConfig::min_ttl) and [`max_ttl`](DnsConfig::max_ttl);
///   [`DnsHandle::resolve_now`] asks for one as soon as `min_ttl` allows. After a failed lookup the next is 1 s
///   to 120 s later (more or less a fifth), as gRPC has it; after one that was answered in part, and one
///   that has found nobody, at the latest when an answer's time would have been over.
/// - What cannot be asked costs nothing of what can: when one family of addresses, or one SRV target, fails
///   or is silent, the others count, and its last ones.
/// - A name that is gone, and an answer without records, is [`DiscoverError::Empty`]; a server that
///   fails or does not answer is [`DiscoverError::Unavailable`]. Both remove nobody: only another
///   list does.
/// - `/etc/hosts` and search domains count unless other servers are to be asked. They are read anew
///   for each lookup, so they may change, and come late. A search domain that cannot be asked is passed over, but not the
///   one where the name was found last: what comes after it may be somebody else.
///
/// Service configs in TXT records (gRFC A2) are not read. A DNS server that gives another part of
/// its list each time makes endpoints come and go: SRV records or a registry suit such lists better.
///
/// It runs while it is polled, within a Tokio runtime, and dropping it ends all it runs.
///
/// ```no_run
/// use evenkeel_discover::{DnsConfig, DnsDiscover};
///
/// # fn main() -> Result<(), evenkeel_discover::DnsError> {
/// let endpoints = DnsDiscover::new("users.internal:8090", DnsConfig::default())?;
/// let handle = endpoints.handle();
/// // … give the endpoints to a channel; then, when connections fail:
/// handle.resolve_now();
/// # Ok(())
/// # }
/// ```
pub struct DnsDiscover {
    handle: DnsHandle,
    name: Arc<str>,
    pending: VecDeque<Item>,
    next: Pin<Box<dyn Future<Output = (Watcher, Vec<Item>)> + Send>>,
}

/// Asks for lookups, and says how they are doing, while the stream itself is with the balancer.
///
/// # Clone
///
/// Clones are handles on the same discovery.
#[derive(Clone, Debug, Default)]
pub struct DnsHandle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Notify,
    lookups: AtomicU64,
    failures: AtomicU64,
    stale_since: Mutex<Option<Instant>>,
}

impl DnsHandle {
    /// The endpoints fail: what DNS says may be out of date. Looks it up again, at most once per
    /// [`DnsConfig::min_ttl`]; called more often it does nothing more.
    pub fn resolve_now(&self) {
        self.shared.asked.notify_one();
    }

    /// How many lookups there were.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::Relaxed)
    }

    /// How many of them failed, altogether or in part; that nobody is there is no failure.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Since when the list may be out of date because lookups fail.
    #[must_use]
    pub fn stale_since(&self) -> Option<Instant> {
        *self.shared.stale_since.lock()
    }
}

impl DnsDiscover {
    /// The endpoints of `name`: `host`, `host:port`, or the name of SRV records.
    ///
    /// # Errors
    ///
    /// [`DnsError`] for what is no such name. That the system's resolver settings cannot be read is a
    /// report: they may come.
    pub fn new(name: &str, config: DnsConfig) -> Result<Self, DnsError> {
        let name: Name = name.parse()?;
        let text: Arc<str> = name.to_string().into();
        let handle = DnsHandle::default();
        let lookup = Lookup::new(name, &config)?;
        let watcher = Watcher::new(lookup, Arc::clone(&text), &config, handle.clone());
        Ok(Self {
            handle,
            name: text,
            pending: VecDeque::new(),
            next: Box::pin(watcher.next()),
        })
    }

    /// The endpoints of a target `dns:///name`, or `dns://server/name` to ask that DNS server (an IP
    /// address, or several with commas between them), whatever servers are in `config`.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and for a server that is no IP address.
    pub fn for_target(target: &Target, mut config: DnsConfig) -> Result<Self, DnsError> {
        if !target.authority().is_empty() {
            config.servers = name::servers(target.authority())?;
        }
        Self::new(target.path(), config)
    }

    /// A handle that stays when the stream has been given away.
    #[must_use]
    pub fn handle(&self) -> DnsHandle {
        self.handle.clone()
    }
}

impl Stream for DnsDiscover {
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

impl fmt::Debug for DnsDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsDiscover")
            .field("name", &self.name)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
