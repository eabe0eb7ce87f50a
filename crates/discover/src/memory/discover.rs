use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use super::{Entry, List, Shared};
use crate::alarm::Alarm;
use crate::source::now;
use crate::{Change, DiscoverError, EndpointSet};

/// The endpoints of one service of a [`MemoryRegistry`](super::MemoryRegistry).
///
/// Reports [`DiscoverError::Empty`] when the last endpoint has gone, and at the start while there
/// is none.
pub struct MemoryDiscover {
    shared: Arc<Shared>,
    service: Arc<str>,
    /// Gone only while the stream is being dropped.
    list: Option<WatchStream<Arc<List>>>,
    set: EndpointSet,
    pending: VecDeque<Result<Change, DiscoverError>>,
    told_empty: bool,
    /// When to look for entries that have expired.
    due: Option<Instant>,
    alarm: Alarm,
}

impl MemoryDiscover {
    pub(super) fn new(
        shared: Arc<Shared>,
        service: Arc<str>,
        list: watch::Receiver<Arc<List>>,
    ) -> Self {
        Self {
            shared,
            service,
            list: Some(WatchStream::new(list)),
            set: EndpointSet::new(),
            pending: VecDeque::new(),
            told_empty: false,
            due: None,
            alarm: Alarm::default(),
        }
    }

    fn take(&mut self, list: &List) {
        self.due = list.values().filter_map(Entry::expires).min();
        let entries = list.iter();
        self.set.replace(
            entries.map(|(key, entry)| (key.clone(), entry.endpoint.clone(), entry.revision)),
        );
        self.pending.extend(self.set.changes().into_iter().map(Ok));
        if list.is_empty() && !self.told_empty {
            let service = Arc::clone(&self.service);
            let report = DiscoverError::empty("the memory registry", service);
            self.pending.push_back(Err(report));
        }
        self.told_empty = list.is_empty();
    }
}

impl Stream for MemoryDiscover {
    type Item = Result<Change, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            let Some(list) = &mut self.list else {
                return Poll::Ready(None);
            };
            match Pin::new(list).poll_next(cx) {
                Poll::Ready(Some(list)) => self.take(&list),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let this = &mut *self;
                    if this.alarm.poll(this.due, cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.due = this.shared.expire(&this.service, now());
                }
            }
        }
    }
}

impl Drop for MemoryDiscover {
    fn drop(&mut self) {
        self.list = None;
        self.shared.forget(&self.service);
    }
}

impl fmt::Debug for MemoryDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDiscover")
            .field("service", &self.service)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
