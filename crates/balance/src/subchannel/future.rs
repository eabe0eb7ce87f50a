use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_transport::{Connect, Connection, RequestBody};
use http::Response;
use pin_project_lite::pin_project;
use tonic::Status;

pin_project! {
    /// The response of one request through a subchannel.
    pub struct SubchannelFuture<C: Connect, B: RequestBody> {
        #[pin]
        kind: Kind<<C::Connection as Connection>::Future<B>>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F> {
        Sent { #[pin] response: F },
        Refused { status: Option<Status> },
    }
}

impl<C: Connect, B: RequestBody> SubchannelFuture<C, B> {
    pub(super) const fn sent(response: <C::Connection as Connection>::Future<B>) -> Self {
        Self {
            kind: Kind::Sent { response },
        }
    }

    pub(super) const fn refused(status: Status) -> Self {
        Self {
            kind: Kind::Refused {
                status: Some(status),
            },
        }
    }
}

impl<C: Connect, B: RequestBody> Future for SubchannelFuture<C, B> {
    type Output = Result<Response<<C::Connection as Connection>::ResponseBody>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Sent { response } => response.poll(cx),
            KindProjection::Refused { status } => {
                Poll::Ready(Err(status.take().expect("polled after it was ready")))
            }
        }
    }
}

impl<C: Connect, B: RequestBody> std::fmt::Debug for SubchannelFuture<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubchannelFuture").finish_non_exhaustive()
    }
}
