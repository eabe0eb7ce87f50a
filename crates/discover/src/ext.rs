use evenkeel_core::{BoxError, Endpoint};
use tower::discover::Discover;

use crate::{
    EndpointKey, Events, Filter, FilterDiscover, KeepLastGood, KeepLastGoodConfig, MergeDiscover,
};

/// Combinators for every source of endpoints, those of other crates included.
///
/// Errors of other crates' streams become [`DiscoverError::Unavailable`](crate::DiscoverError).
///
/// ```
/// use evenkeel_core::{Address, Endpoint, Metadata};
/// use evenkeel_discover::{
///     Change, DiscoverExt, Fallback, Filter, KeepLastGoodConfig, MemoryRegistry, StaticDiscover,
/// };
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = MemoryRegistry::new();
/// let seed = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// let mut endpoints = registry
///     .watch("user-service")
///     .keep_last_good(KeepLastGoodConfig::default())
///     .merge("seed", StaticDiscover::new([seed]))
///     .filter_endpoints(Filter::new().with_zone("a"))
///     .with_fallback(Fallback::Any);
/// let stats = endpoints.stats();
/// assert!(matches!(endpoints.next().await, Some(Ok(Change::Insert(_, _)))));
/// assert_eq!((stats.matching(), stats.fallbacks()), (0, 1), "nobody is in zone a");
/// # Ok(())
/// # }
/// ```
pub trait DiscoverExt: Discover<Key = EndpointKey, Service = Endpoint> + Sized + Unpin
where
    Self::Error: Into<BoxError>,
{
    /// Only the endpoints that pass `filter`; who is used when none does says
    /// [`FilterDiscover::with_fallback`].
    ///
    /// Filters over filters let pass who passes all of them. Each has a fallback of its own: terms
    /// that are to be given up together belong in one filter.
    fn filter_endpoints(self, filter: Filter) -> FilterDiscover<Self> {
        FilterDiscover::new(self, filter)
    }

    /// These endpoints, and those of `other`, which goes by `name`; these go by `main`, and their
    /// metadata is preferred. [`MergeDiscover::with`] names and adds more.
    fn merge<D>(self, name: &str, other: D) -> MergeDiscover
    where
        Self: Send + 'static,
        D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin + Send + 'static,
        D::Error: Into<BoxError>,
    {
        MergeDiscover::new().with("main", self).with(name, other)
    }

    /// The endpoints stay when the source loses too many of them at once, or ends.
    fn keep_last_good(self, config: KeepLastGoodConfig) -> KeepLastGood<Self> {
        KeepLastGood::new(self, config)
    }

    /// What happens to the endpoints, for those who only watch.
    fn events(self) -> Events<Self> {
        Events::new(self)
    }
}

impl<D> DiscoverExt for D
where
    D: Discover<Key = EndpointKey, Service = Endpoint> + Unpin,
    D::Error: Into<BoxError>,
{
}
