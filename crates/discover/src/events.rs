use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evenkeel_core::{BoxError, Endpoint};
use futures_core::Stream;
use tower::discover::Discover;

use crate::source::{BATCHES, Source};
use crate::{Change, DiscoverError, EndpointKey};

/// What happened to an endpoint, for those who only watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It came.
    #[non_exhaustive]
    Added {
        /// Its name within its source.
        key: EndpointKey,
        /// What it is.
        endpoint: Endpoint,
    },
    /// It changed: what it says of itself, or where it is.
    #[non_exhaustive]
    Updated {
        /// Its name within its source.
        key: EndpointKey,
        /// What it was.
        old: Endpoint,
        /// What it is now.
        new: Endpoint,
    },
    /// It went.
    #[non_exhaustive]
    Removed {
        /// Its name within its source.
        key: EndpointKey,
        /// What it was.
        endpoint: Endpoint,
    },
    /// The source has no endpoints, or cannot be asked; those that were added stay.
    Report(DiscoverError),
    /// After a report, the source is well again, and has everything as it was before.
    Recovered,
}

/// The changes of a source as [`Event`]s; made by
/// [`DiscoverExt::events`](crate::DiscoverExt::events).
///
/// It ends with its source, and those of this crate never end.
///
/// ```
/// use evenkeel_core::{Address, Endpoint, Metadata};
/// use evenkeel_discover::{DiscoverExt, Event, MemoryRegistry};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = MemoryRegistry::new();
/// let server = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// let registration = registry.register("user-service", server)?;
///
/// let mut events = registry.watch("user-service").events();
/// assert!(matches!(events.next().await, Some(Event::Added { .. })));
/// registration.update(Metadata::default().with_weight(5.0))?;
/// let Some(Event::Updated { old, new, .. }) = events.next().await else { panic!() };
/// assert_eq!((old.metadata().weight, new.metadata().weight), (None, Some(5.0)));
/// # Ok(())
/// # }
/// ```
pub struct Events<D> {
    source: Source<D>,
    known: HashMap<EndpointKey, Endpoint>,
    pending: VecDeque<Event>,
    reported: bool,
    ended: bool,
}

impl<D> Events<D> {
    pub(crate) fn new(discover: D) -> Self {
        Self {
            source: Source::new(discover),
            known: HashMap::new(),
            pending: VecDeque::new(),
            reported: false,
            ended: false,
        }
    }

    fn event(&mut self, item: Result<Change, DiscoverError>) -> Option<Event> {
        let recovered = std::mem::replace(&mut self.reported, item.is_err());
        match item {
            Err(report) => Some(Event::Report(report)),
            Ok(Change::Insert(key, new)) => match self.known.insert(key.clone(), new.clone()) {
                Some(old) if old == new => recovered.then_some(Event::Recovered),
                Some(old) => Some(Event::Updated { key, old, new }),
                None => Some(Event::Added { key, endpoint: new }),
            },
            Ok(Change::Remove(key)) => {
                let endpoint = self.known.remove(&key)?;
                Some(Event::Removed { key, endpoint })
            }
        }
    }
}

impl<D> Stream for Events<D>
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        for _ in 0..BATCHES {
            if let Some(event) = this.pending.pop_front() {
                return Poll::Ready(Some(event));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let batch = ready!(this.source.poll_batch(cx));
            this.ended = batch.ended;
            for item in batch.items {
                let event = this.event(item);
                this.pending.extend(event);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<D> Unpin for Events<D> {}

impl<D: fmt::Debug> fmt::Debug for Events<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("source", self.source.get_ref())
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
