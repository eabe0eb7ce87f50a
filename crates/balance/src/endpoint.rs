use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use pin_project_lite::pin_project;
use tower::discover::{Change, Discover};
use tower_layer::Layer;

/// Puts a layer around the service of every endpoint in a discover stream.
///
/// What the layer makes must be `Clone` and pass [`Connectivity`](evenkeel_core::Connectivity)
/// through (or change it, as the breaker does) for the balancer to take it.
#[derive(Clone, Debug)]
pub struct EndpointLayer<L> {
    layer: L,
}

impl<L> EndpointLayer<L> {
    /// Puts `layer` around every endpoint's service.
    pub const fn new(layer: L) -> Self {
        Self { layer }
    }
}

impl<L, D> Layer<D> for EndpointLayer<L>
where
    D: Discover,
    L: Layer<D::Service> + Clone,
{
    type Service = EndpointDiscover<D, L>;

    fn layer(&self, discover: D) -> Self::Service {
        EndpointDiscover {
            discover,
            layer: self.layer.clone(),
        }
    }
}

pin_project! {
    /// The discover stream of [`EndpointLayer`].
    #[derive(Debug)]
    pub struct EndpointDiscover<D, L> {
        #[pin]
        discover: D,
        layer: L,
    }
}

impl<D, L> Stream for EndpointDiscover<D, L>
where
    D: Discover,
    L: Layer<D::Service>,
{
    type Item = Result<Change<D::Key, L::Service>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.discover
            .poll_discover(cx)
            .map_ok(|change| match change {
                Change::Insert(key, service) => Change::Insert(key, this.layer.layer(service)),
                Change::Remove(key) => Change::Remove(key),
            })
    }
}
