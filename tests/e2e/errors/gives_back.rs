//! A connector whose connections give a request back, as if they had been lost or refused it.

use std::pin::Pin;
use std::sync::Arc;

use evenkeel::errors::AttemptError;
use evenkeel::transport::{Connect, ConnectError, Connected, Connection, Connector, RequestBody};
use evenkeel_core::{Address, Endpoint, Progress};
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::{Code, Status};

type Inner = <Connector as Connect>::Connection;
type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Clones share what comes next.
#[derive(Clone, Default)]
pub(super) struct GivesBack {
    next: Arc<Mutex<Option<Progress>>>,
}

#[derive(Clone)]
pub(super) struct Connecting {
    inner: Inner,
    next: Arc<Mutex<Option<Progress>>>,
}

impl GivesBack {
    /// The next request gets only so far.
    pub(super) fn next(&self, progress: Progress) {
        *self.next.lock() = Some(progress);
    }

    pub(super) fn has_given_back(&self) -> bool {
        self.next.lock().is_none()
    }
}

impl Connect for GivesBack {
    type Connection = Connecting;
    type Future = Pending<Result<Connected<Connecting>, ConnectError>>;

    fn connect(&self, address: &Address, endpoint: &Endpoint) -> Self::Future {
        let connects = Connector::new().connect(address, endpoint);
        let next = Arc::clone(&self.next);
        Box::pin(async move {
            let connected = connects.await?;
            let inner = connected.connection;
            Ok(Connected::new(Connecting { inner, next }, connected.closed))
        })
    }
}

impl Connection for Connecting {
    type ResponseBody = <Inner as Connection>::ResponseBody;
    type Future<B: RequestBody> = Pending<Result<Response<Self::ResponseBody>, Status>>;

    fn send<B: RequestBody>(&self, request: Request<B>) -> Self::Future<B> {
        let Some(progress) = self.next.lock().take() else {
            return Box::pin(self.inner.send(request));
        };
        let error = match progress {
            Progress::NotSent => AttemptError::unsent(request, "connection lost"),
            progress => AttemptError::new(progress, "the server refused the stream"),
        };
        Box::pin(std::future::ready(
            Err(error.into_status(Code::Unavailable)),
        ))
    }
}
