mod state;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_core::{BoxError, Endpoint};
use futures_core::Stream;
use tower::discover::Discover;

use crate::source::{BATCHES, Batch, Source, now};
use crate::{Change, DiscoverError, EndpointKey};
use state::MergeState;

/// The endpoints of several sources, as one source.
///
/// - A server that several of them have is one endpoint: with the metadata of the source that was
///   added first, and until the last of them lets it go. Its key is `source/key`.
/// - An outage of one source costs its endpoints nothing and the others nothing; it is reported under
///   the source's name. While another one is well and has endpoints, so is the merged list: the
///   report is told once, and an endpoint as it was after it. That the one is back is not told then.
/// - [`DiscoverError::AllEmpty`] is reported when every source has said that it is empty.
/// - When a source ends, its endpoints stay and its end is reported; a list that ends is well. The
///   merged one never ends.
///
/// ```
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{Change, MemoryRegistry, MergeDiscover, StaticDiscover};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = MemoryRegistry::new();
/// let seed = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// let mut endpoints = MergeDiscover::new()
///     .with("registry", registry.watch("user-service"))
///     .with("seed", StaticDiscover::new([seed]));
/// let Some(Ok(Change::Insert(key, _))) = endpoints.next().await else { panic!() };
/// assert_eq!(key.as_str(), "seed/10.0.0.5:8090");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct MergeDiscover {
    sources: Vec<Named>,
    state: MergeState,
    pending: VecDeque<Result<Change, DiscoverError>>,
    /// Who is read first next time.
    first: usize,
}

struct Named {
    name: Arc<str>,
    source: Box<dyn Read + Send>,
}

impl MergeDiscover {
    /// Of no sources: it says nothing before it has one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and another source. `name` stands in its keys and reports; one that is taken gets
    /// a number, and each `/` becomes `-`, because what follows a `/` is the source's own key.
    pub fn with<D>(mut self, name: impl Into<Arc<str>>, discover: D) -> Self
    where
        D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin + Send + 'static,
        D::Error: Into<BoxError>,
    {
        let mut name = name.into();
        if name.contains('/') {
            name = name.replace('/', "-").into();
        }
        let is_taken = |name: &Arc<str>| self.sources.iter().any(|known| known.name == *name);
        if is_taken(&name) {
            let numbered = (2..).map(|number| Arc::from(format!("{name}-{number}")));
            if let Some(free) = numbered.into_iter().find(|name| !is_taken(name)) {
                name = free;
            }
        }
        self.state.add(&name);
        let source = Box::new(Source::new(discover));
        self.sources.push(Named { name, source });
        self
    }
}

/// A [`Source`] of whatever stream.
trait Read {
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Batch>;
}

impl<D> Read for Source<D>
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Batch> {
        Self::poll_batch(self, cx)
    }
}

impl Stream for MergeDiscover {
    type Item = Result<Change, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        for _ in 0..BATCHES {
            if let Some(item) = this.pending.pop_front() {
                return Poll::Ready(Some(item));
            }
            // All of them are asked: a list may come from several at one time.
            let mut is_dry = true;
            let count = this.sources.len();
            for index in (this.first..count).chain(0..this.first) {
                if let Poll::Ready(batch) = this.sources[index].source.poll_batch(cx) {
                    is_dry = false;
                    this.state.take(index, batch, now());
                }
            }
            this.first = if this.first + 1 < count {
                this.first + 1
            } else {
                0
            };
            if is_dry {
                return Poll::Pending;
            }
            this.pending.extend(this.state.news());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl fmt::Debug for MergeDiscover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.sources.iter().map(|named| &named.name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests;
