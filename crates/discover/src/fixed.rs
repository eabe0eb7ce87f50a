use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_core::Endpoint;
use futures_core::Stream;

use crate::{Change, DiscoverError, EndpointSet};

/// Endpoints that are known from the start and never change.
///
/// Yields each once, in the order given, and then stays pending. Endpoints that reach the same
/// server are merged; the last one's metadata wins. Without any endpoint it reports
/// [`DiscoverError::Empty`].
///
/// ```
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{Change, StaticDiscover};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut endpoints = StaticDiscover::new([Endpoint::new("10.0.0.5:8090".parse::<Address>()?)]);
/// assert!(matches!(endpoints.next().await, Some(Ok(Change::Insert(_, _)))));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StaticDiscover {
    pending: VecDeque<Result<Change, DiscoverError>>,
}

impl StaticDiscover {
    /// A source of these endpoints; the key of each is its first address.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let mut set = EndpointSet::new();
        for (revision, endpoint) in (0..).zip(endpoints) {
            let name = endpoint.to_string();
            let key = match set.get(&name) {
                // Two servers that share their first address only.
                Some(other) if !other.reaches_the_same_server_as(&endpoint) => {
                    format!("{name}#{revision}")
                }
                _ => name,
            };
            set.put(key.into(), endpoint, revision);
        }
        let mut pending: VecDeque<_> = set.changes().into_iter().map(Ok).collect();
        if pending.is_empty() {
            pending.push_back(Err(DiscoverError::empty("the static list", "")));
        }
        Self { pending }
    }
}

impl Stream for StaticDiscover {
    type Item = Result<Change, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Nothing will ever come after the last one, so nobody has to be woken.
        match self.pending.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None => {
                // It lasts as long as its channel, and may have been long.
                self.pending = VecDeque::new();
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Address, Metadata};
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn endpoint(address: &str, weight: f64) -> Endpoint {
        Endpoint::new(address.parse::<Address>().unwrap())
            .with_metadata(Metadata::default().with_weight(weight))
    }

    #[tokio::test]
    async fn yields_each_server_once_in_order_and_stays_pending() {
        let list = [
            endpoint("10.0.0.2:1", 1.0),
            endpoint("10.0.0.1:1", 1.0),
            endpoint("10.0.0.2:1", 5.0),
        ];
        let mut discover = StaticDiscover::new(list);
        let mut seen = Vec::new();
        while let Some(item) = discover.next().now_or_never() {
            let Some(Ok(Change::Insert(key, endpoint))) = item else {
                panic!("{item:?}")
            };
            seen.push((key.to_string(), endpoint.metadata().weight));
        }
        assert_eq!(
            seen,
            [
                ("10.0.0.2:1".to_owned(), Some(5.0)),
                ("10.0.0.1:1".to_owned(), Some(1.0)),
            ]
        );
    }

    #[tokio::test]
    async fn an_empty_list_is_reported() {
        let mut discover = StaticDiscover::new([]);
        let report = discover.next().await.unwrap().unwrap_err();
        assert_eq!(report.to_string(), "the static list has no endpoints");
        assert!(discover.next().now_or_never().is_none());
    }
}
