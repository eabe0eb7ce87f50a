use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_core::error::DiscoveryRecovered;
use evenkeel_core::{BoxError, Endpoint};
use evenkeel_transport::Connect;
use futures_util::Stream;
use indexmap::IndexMap;
use pin_project_lite::pin_project;
use tower::discover::{Change, Discover};
use tower_layer::Layer;

use crate::subchannel::Means;
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
            means: Arc::new(Means {
                connector: self.connector.clone(),
                config: self.config.clone(),
            }),
            subchannels: IndexMap::new(),
            failed: false,
        }
    }
}

pin_project! {
    /// The discover stream of [`ConnectLayer`].
    ///
    /// An endpoint that is inserted again with the same addresses keeps its subchannel, and with
    /// it its connection and the layers around it: only its metadata changes, which shows in its
    /// reports. With other addresses it gets a new subchannel. Because nothing is passed on then,
    /// the end of an outage of discovery that changed nothing is passed on as an error,
    /// [`DiscoveryRecovered`].
    ///
    /// Must be polled within a tokio runtime.
    pub struct ConnectDiscover<D: Discover, C: Connect> {
        #[pin]
        discover: D,
        means: Arc<Means<C>>,
        subchannels: IndexMap<D::Key, Subchannel<C>>,
        // Whether the last thing passed on was an error.
        failed: bool,
    }
}

impl<D, C> Stream for ConnectDiscover<D, C>
where
    C: Connect,
    D: Discover<Service = Endpoint>,
    D::Key: Hash + Eq + Clone,
    D::Error: Into<BoxError>,
{
    type Item = Result<Change<D::Key, Subchannel<C>>, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..BURST {
            let change = match ready!(this.discover.as_mut().poll_discover(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    *this.failed = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(change)) => change,
            };
            let recovered = std::mem::take(this.failed);
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
                        if recovered {
                            return Poll::Ready(Some(Err(DiscoveryRecovered.into())));
                        }
                        continue;
                    }
                    let subchannel = Subchannel::with_means(endpoint, this.means.clone());
                    this.subchannels.insert(key.clone(), subchannel.clone());
                    return Poll::Ready(Some(Ok(Change::Insert(key, subchannel))));
                }
                Change::Remove(key) => {
                    this.subchannels.swap_remove(&key);
                    return Poll::Ready(Some(Ok(Change::Remove(key))));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Changes taken in before others get their turn, however many there are.
const BURST: usize = 256;

impl<D: Discover, C: Connect> fmt::Debug for ConnectDiscover<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectDiscover")
            .field("subchannels", &self.subchannels.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use evenkeel_core::{Address, Metadata};
    use evenkeel_transport::{ConnectError, Connected, Connection, RequestBody};
    use futures_util::future::{BoxFuture, FutureExt};
    use futures_util::stream::{self, StreamExt};
    use tonic::Status;

    /// Never connects.
    #[derive(Clone)]
    struct Nowhere;

    #[derive(Clone)]
    struct NoConnection;

    impl Connect for Nowhere {
        type Connection = NoConnection;
        type Future = BoxFuture<'static, Result<Connected<NoConnection>, ConnectError>>;

        fn connect(&self, _: &Address, _: &Endpoint) -> Self::Future {
            std::future::pending().boxed()
        }
    }

    impl Connection for NoConnection {
        type ResponseBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Status>;
        type Future<B: RequestBody> =
            BoxFuture<'static, Result<http::Response<Self::ResponseBody>, Status>>;

        fn send<B: RequestBody>(&self, _: http::Request<B>) -> Self::Future<B> {
            std::future::pending().boxed()
        }
    }

    type Item = Result<Change<&'static str, Endpoint>, BoxError>;

    fn insert(key: &'static str, address: &str, weight: f64) -> Item {
        let endpoint = Endpoint::new(address.parse::<Address>().unwrap());
        Ok(Change::Insert(
            key,
            endpoint.with_metadata(Metadata::default().with_weight(weight)),
        ))
    }

    /// What comes out, in words.
    async fn run(items: Vec<Item>) -> Vec<String> {
        let layer = ConnectLayer::new(Nowhere);
        let out = layer.layer(stream::iter(items)).map(|item| match item {
            Ok(Change::Insert(key, subchannel)) => {
                let endpoint = subchannel.report().endpoint;
                format!("+{key} {endpoint} {}", endpoint.metadata().weight.unwrap())
            }
            Ok(Change::Remove(key)) => format!("-{key}"),
            Err(error) => error.to_string(),
        });
        out.collect().await
    }

    #[tokio::test]
    async fn only_another_server_gets_another_subchannel() {
        let out = run(vec![
            insert("a", "10.0.0.1:1", 1.0),
            insert("a", "10.0.0.1:1", 2.0),
            insert("a", "10.0.0.2:2", 3.0),
            Ok(Change::Remove("a")),
            insert("a", "10.0.0.2:2", 4.0),
        ]);
        let out = out.await;
        assert_eq!(
            out,
            [
                "+a 10.0.0.1:1 1",
                "+a 10.0.0.2:2 3",
                "-a",
                "+a 10.0.0.2:2 4"
            ]
        );
    }

    #[tokio::test]
    async fn the_end_of_an_outage_is_told_even_if_nothing_changed() {
        let out = run(vec![
            insert("a", "10.0.0.1:1", 1.0),
            Err("etcd is unreachable".into()),
            insert("a", "10.0.0.1:1", 1.0),
            insert("a", "10.0.0.1:1", 1.0),
        ]);
        let out = out.await;
        assert_eq!(
            out,
            [
                "+a 10.0.0.1:1 1",
                "etcd is unreachable",
                "discovery works again"
            ]
        );
    }
}
