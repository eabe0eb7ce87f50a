//! Callers that keep a channel busy.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use http_body::Body;
use tokio::task::JoinSet;
use tonic::client::GrpcService;

/// When callers stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this long; calls that run then are finished and counted.
    Time(Duration),
    /// After this many calls, in equal shares.
    Calls(u64),
}

/// A channel under a generated client.
pub trait Load: fmt::Debug {
    /// Runs `callers`, each making one call after the other; gives the number of calls.
    ///
    /// # Panics
    ///
    /// When a call fails.
    fn run(&self, callers: usize, until: Until) -> Pin<Box<dyn Future<Output = u64> + '_>>;
}

/// Any channel that tonic's stubs can use.
#[derive(Clone)]
pub struct Stub<S>(pub S);

impl<S> Load for Stub<S>
where
    S: GrpcService<tonic::body::Body, Future: Send> + Clone + Send + Sync + 'static,
    S::ResponseBody:
        Body<Data = Bytes, Error: Into<evenkeel_core::BoxError> + Send> + Send + 'static,
{
    fn run(&self, callers: usize, until: Until) -> Pin<Box<dyn Future<Output = u64> + '_>> {
        Box::pin(async move {
            let stop = Arc::new(AtomicBool::new(false));
            let limit = match until {
                Until::Time(_) => u64::MAX,
                Until::Calls(calls) => calls / callers as u64,
            };
            let mut running = JoinSet::new();
            for _ in 0..callers {
                let (client, stop) = (UserServiceClient::new(self.0.clone()), stop.clone());
                running.spawn(call(client, limit, stop));
            }
            if let Until::Time(time) = until {
                tokio::time::sleep(time).await;
                stop.store(true, Ordering::Relaxed);
            }
            running.join_all().await.into_iter().sum()
        })
    }
}

async fn call<S>(mut client: UserServiceClient<S>, limit: u64, stop: Arc<AtomicBool>) -> u64
where
    S: GrpcService<tonic::body::Body>,
    S::ResponseBody:
        Body<Data = Bytes, Error: Into<evenkeel_core::BoxError> + Send> + Send + 'static,
{
    let mut calls = 0;
    while calls < limit && !stop.load(Ordering::Relaxed) {
        let response = client.get_by_id(GetByIdRequest { id: 1 }).await;
        let response = response.expect("the servers answer every call");
        assert!(response.into_inner().user.is_some());
        calls += 1;
    }
    calls
}

impl<S> fmt::Debug for Stub<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").finish_non_exhaustive()
    }
}
