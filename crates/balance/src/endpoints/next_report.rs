use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evenkeel_core::{Connectivity, EndpointId, Report};

/// Waits for the next report of one endpoint.
pub(super) struct NextReport<S> {
    id: EndpointId,
    service: Option<S>,
}

impl<S> NextReport<S> {
    pub(super) const fn new(id: EndpointId, service: S) -> Self {
        Self {
            id,
            service: Some(service),
        }
    }
}

impl<S: Connectivity + Unpin> Future for NextReport<S> {
    type Output = (EndpointId, S, Option<Report>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let service = self.service.as_mut().expect("polled after it was ready");
        let report = ready!(service.poll_report(cx));
        let service = self.service.take().expect("it was there a moment ago");
        Poll::Ready((self.id, service, report))
    }
}
