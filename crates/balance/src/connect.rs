use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_core::Endpoint;
use evenkeel_transport::Connect;
use futures_util::Stream;
use indexmap::IndexMap;
use pin_project_lite::pin_project;
use tower::discover::{Change, Discover};
use tower_layer::Layer;

use crate::{Subchannel, SubchannelConfig};

/// Turns a discover stream of endpoints into one of subchannels.
#[derive(Clone, Debug)]
pub struct ConnectLayer<C> {
    connector: C,
    config: SubchannelConfig,
}

impl<C> ConnectLayer<C> {
    /// Subchannels over connections that `connector` makes, with gRPC's backoff.
    pub fn new(connector: C) -> Self {
        Self {
            connector,
            config: SubchannelConfig::default(),
        }
    }

    /// The same with another [`SubchannelConfig`].
    #[must_use]
    pub fn with_config(mut self, config: SubchannelConfig) -> Self {
        self.config = config;
        self
    }
}

impl<C, D> Layer<D> for ConnectLayer<C>
where
    C: Connect,
    D: Discover<Service = Endpoint>,
    D::Key: Hash + Eq + Clone,
{
    type Service = ConnectDiscover<D, C>;

    fn layer(&self, discover: D) -> Self::Service {
        ConnectDiscover {
            discover,
            connector: self.connector.clone(),
            config: self.config.clone(),
            subchannels: IndexMap::new(),
        }
    }
}

pin_project! {
    /// The discover stream of [`ConnectLayer`].
    ///
    /// An endpoint that is inserted again with the same addresses keeps its subchannel, and with
    /// it its connection and the layers around it: only its metadata changes, which shows in its
    /// reports. With other addresses it gets a new subchannel.
    ///
    /// Must be polled within a tokio runtime.
    pub struct ConnectDiscover<D: Discover, C: Connect> {
        #[pin]
        discover: D,
        connector: C,
        config: SubchannelConfig,
        subchannels: IndexMap<D::Key, Subchannel<C>>,
    }
}

impl<D, C> Stream for ConnectDiscover<D, C>
where
    C: Connect,
    D: Discover<Service = Endpoint>,
    D::Key: Hash + Eq + Clone,
{
    type Item = Result<Change<D::Key, Subchannel<C>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let change = match ready!(this.discover.as_mut().poll_discover(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(change)) => change,
            };
            match change {
                Change::Insert(key, endpoint) => {
                    let endpoint = Arc::new(endpoint);
                    if let Some(known) = this.subchannels.get(&key)
                        && known
                            .report()
                            .endpoint
                            .reaches_the_same_server_as(&endpoint)
                    {
                        known.set_endpoint(endpoint);
                        continue;
                    }
                    let subchannel =
                        Subchannel::new(endpoint, this.connector.clone(), this.config.clone());
                    this.subchannels.insert(key.clone(), subchannel.clone());
                    return Poll::Ready(Some(Ok(Change::Insert(key, subchannel))));
                }
                Change::Remove(key) => {
                    this.subchannels.swap_remove(&key);
                    return Poll::Ready(Some(Ok(Change::Remove(key))));
                }
            }
        }
    }
}

impl<D: Discover, C: Connect> fmt::Debug for ConnectDiscover<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectDiscover")
            .field("subchannels", &self.subchannels.len())
            .finish_non_exhaustive()
    }
}
