use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use evenkeel_core::{Address, BoxError};
use http::Uri;
use hyper::rt;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tower_service::Service;

use super::{Attempt, BoxIo};
use crate::{ConnectError, ConnectStep};

type Opening = Pin<Box<dyn Future<Output = Result<BoxIo, BoxError>> + Send>>;

/// Opens sockets as the user says.
#[derive(Clone)]
pub(super) struct CustomIo {
    open: Arc<dyn Fn(Uri) -> Opening + Send + Sync>,
}

impl CustomIo {
    pub(super) fn new<M>(make: M) -> Self
    where
        M: Service<Uri> + Clone + Send + 'static,
        M::Response: rt::Read + rt::Write + Send + Unpin + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
    {
        // Many connectors are not Sync.
        let make = Mutex::new(make);
        let open = move |uri| {
            let mut make = make.lock().clone();
            let opening = async move {
                poll_fn(|cx| make.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                let io = make.call(uri).await.map_err(Into::into)?;
                Ok(Box::new(TokioIo::new(io)) as BoxIo)
            };
            Box::pin(opening) as Opening
        };
        Self {
            open: Arc::new(open),
        }
    }
}

impl fmt::Debug for CustomIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomIo").finish_non_exhaustive()
    }
}

impl Attempt {
    /// A socket that the user's service has opened.
    pub(super) async fn custom(&self, custom: &CustomIo) -> Result<BoxIo, ConnectError> {
        let failed = |error: BoxError| self.failed(ConnectStep::Dial).with_source(error);
        let uri = match &self.address {
            Address::Ip(_) | Address::Host { .. } => format!("http://{}/", self.address),
            _ => {
                let text = "a custom connector opens addresses of hosts and ports only";
                let error = io::Error::new(io::ErrorKind::Unsupported, text);
                return Err(failed(error.into()));
            }
        };
        let uri = uri
            .parse()
            .map_err(|error: http::uri::InvalidUri| failed(error.into()))?;
        (custom.open)(uri).await.map_err(failed)
    }
}
