use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::observe::{Guard, head_status};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use super::ResponseBody;
use super::ticket::BreakerTicket;

pin_project! {
    /// The response of an attempt behind a breaker.
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProject]
    enum Stage<F> {
        Refused {
            status: Option<Status>,
        },
        Sent {
            #[pin]
            inner: F,
            guard: Guard<BreakerTicket>,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn refused(status: Status) -> Self {
        Self {
            stage: Stage::Refused {
                status: Some(status),
            },
        }
    }

    pub(super) const fn sent(inner: F, ticket: BreakerTicket) -> Self {
        Self {
            stage: Stage::Sent {
                inner,
                guard: Guard::new(ticket),
            },
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<R>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, guard) = match self.project().stage.project() {
            StageProject::Sent { inner, guard } => (inner, guard),
            StageProject::Refused { status } => {
                let status = status.take().expect("polled after its end");
                return Poll::Ready(Err(status));
            }
        };
        match ready!(inner.poll(cx)) {
            Ok(response) => {
                let decided = head_status(&response);
                if matches!(decided, None | Some(Code::Ok))
                    && let Some(ticket) = guard.ticket()
                {
                    ticket.answered();
                }
                let watched = guard.watch_decided(decided, response);
                Poll::Ready(Ok(watched.map(ResponseBody::new)))
            }
            Err(error) => {
                let status = into_status(error.into());
                if let Some(ticket) = guard.take() {
                    ticket.settle_status(&status);
                }
                Poll::Ready(Err(status))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("breaker::ResponseFuture")
            .finish_non_exhaustive()
    }
}
