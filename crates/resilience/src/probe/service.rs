use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::connectivity::View;
use super::shared::Shared;

/// The service of an endpoint that is probed; see the [module](super).
///
/// # Clone
///
/// Clones share the probes. The last one dropped ends them.
#[derive(Debug)]
pub struct Probed<S> {
    pub(super) inner: S,
    /// `None` if it is not. Boxed: most are not.
    pub(super) probes: Option<Box<Probes>>,
}

/// What one clone knows of the probes.
#[derive(Debug)]
pub(super) struct Probes {
    pub(super) shared: Arc<Shared>,
    /// Made when somebody asks for reports.
    pub(super) view: Option<View>,
}

impl<S> Probed<S> {
    pub(super) fn new(inner: S, shared: Option<Arc<Shared>>) -> Self {
        let probes = |shared| Box::new(Probes { shared, view: None });
        Self {
            inner,
            probes: shared.map(probes),
        }
    }
}

impl<S: Clone> Clone for Probed<S> {
    fn clone(&self) -> Self {
        // A clone's reports start from the present one.
        let shared = self.probes.as_ref().map(|probes| probes.shared.clone());
        Self::new(self.inner.clone(), shared)
    }
}

/// Calls pass as they are: who is out is not picked.
impl<S: Service<R>, R> Service<R> for Probed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}
