use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::{Attempt, Hedges, Tried};
use http::Request;
use http_body::Body;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tower_service::Service;

use crate::retry::ReplayBody;
use crate::retry::call::Call;

/// One attempt of a hedged call.
pub(super) struct Hedge<S, F> {
    pub(super) number: u32,
    /// Which reader of the request it is, once it is sent and shares it.
    pub(super) reader: Option<u32>,
    stage: Stage<S, F>,
}

enum Stage<S, F> {
    /// The timer, as short as it may be, lets others run.
    Paused(Pin<Box<Sleep>>, S),
    Ready(S),
    Sent(Pin<Box<F>>),
}

impl<S, F> Hedge<S, F> {
    pub(super) fn sent(number: u32, reader: Option<u32>, future: F) -> Self {
        Self {
            number,
            reader,
            stage: Stage::Sent(Box::pin(future)),
        }
    }

    /// To be sent to `service` as soon as that is ready.
    pub(super) const fn ready(number: u32, service: S) -> Self {
        Self {
            number,
            reader: None,
            stage: Stage::Ready(service),
        }
    }

    /// The same a little later.
    pub(super) fn paused(number: u32, service: S) -> Self {
        Self {
            number,
            reader: None,
            stage: Stage::Paused(Box::pin(sleep(Duration::ZERO)), service),
        }
    }
}

impl<S, F> Hedge<S, F> {
    pub(super) fn poll<B, R>(
        &mut self,
        call: &mut Call<S, B>,
        tried: &Tried,
        hedges: &Hedges,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R, Status>>
    where
        S: Service<Request<ReplayBody<B>>, Response = R, Future = F> + Clone,
        S::Error: Into<BoxError>,
        F: Future<Output = Result<R, S::Error>>,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        loop {
            let service = match &mut self.stage {
                Stage::Sent(future) => {
                    let result = ready!(future.as_mut().poll(cx));
                    return Poll::Ready(result.map_err(|error| into_status(error.into())));
                }
                Stage::Paused(sleep, service) => {
                    ready!(sleep.as_mut().poll(cx));
                    service
                }
                Stage::Ready(service) => service,
            };
            if let Err(error) = ready!(service.poll_ready(cx)) {
                return Poll::Ready(Err(into_status(error.into())));
            }
            let attempt = Attempt::hedged(self.number, tried.clone(), hedges.clone());
            let request = call.request_of(attempt)?;
            self.reader = call.source.as_ref().and_then(|source| source.reader());
            self.stage = Stage::Sent(Box::pin(service.call(request)));
        }
    }
}
