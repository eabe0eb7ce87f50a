use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};
use tower_service::Service;

use super::call::{Call, Next, failed_head};
use super::failure::Failed;
use super::{ReplayBody, ResponseBody};

pin_project! {
    /// The response of a call that may take several attempts.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        #[pin]
        stage: Stage<S::Future>,
        inner: S,
        // `None`: failed before its first attempt.
        call: Option<Call<B>>,
    }
}

pin_project! {
    #[project = StageProject]
    enum Stage<F> {
        Attempt { #[pin] future: F },
        Delay { #[pin] sleep: Sleep },
        Ready,
        Failed { status: Option<Status> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    pub(super) const fn new(inner: S, call: Call<B>, first: S::Future) -> Self {
        Self {
            stage: Stage::Attempt { future: first },
            inner,
            call: Some(call),
        }
    }

    pub(super) const fn failed(inner: S, status: Status) -> Self {
        Self {
            stage: Stage::Failed {
                status: Some(status),
            },
            inner,
            call: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<R>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = match this.stage.as_mut().project() {
            StageProject::Failed { status } => {
                let status = status.take().expect("polled after its end");
                return Poll::Ready(Err(status));
            }
            _ => this.call.as_mut().expect("only a failed one has no call"),
        };
        loop {
            let next = match this.stage.as_mut().project() {
                StageProject::Attempt { future } => {
                    let result = match ready!(future.poll(cx)) {
                        Ok(response) => match failed_head(&response) {
                            None => {
                                call.commit();
                                let watched = ResponseBody::watch(call.throttle(), response);
                                return Poll::Ready(Ok(watched));
                            }
                            Some(code) => Ok((code, response)),
                        },
                        Err(error) => Err(into_status(error.into())),
                    };
                    match failed(call, result) {
                        Attempted::Over(result) => return Poll::Ready(result),
                        Attempted::Next(None) => Stage::Ready,
                        Attempted::Next(Some(delay)) => Stage::Delay {
                            sleep: sleep_until(end_of(delay, call.deadline())),
                        },
                    }
                }
                StageProject::Delay { sleep } => {
                    ready!(sleep.poll(cx));
                    Stage::Ready
                }
                StageProject::Ready => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Err(into_status(error.into())));
                    }
                    let request = call.next_request()?;
                    Stage::Attempt {
                        future: this.inner.call(request),
                    }
                }
                StageProject::Failed { .. } => unreachable!("this stage was left above"),
            };
            this.stage.set(next);
        }
    }
}

/// What a failed attempt leads to: the call's result, or the next attempt after a delay.
enum Attempted<R> {
    Over(Result<Response<ResponseBody<R>>, Status>),
    Next(Option<Duration>),
}

#[cold]
fn failed<B, R>(call: &mut Call<B>, result: Result<(Code, Response<R>), Status>) -> Attempted<R> {
    let next = call.on_failure(match &result {
        Ok((code, response)) => Failed::of_response(*code, response),
        Err(status) => Failed::of_status(status),
    });
    match (next, result) {
        (Next::Now, _) => Attempted::Next(None),
        (Next::After(delay), _) => Attempted::Next(Some(delay)),
        (Next::Stop(stop), Err(status)) => Attempted::Over(Err(call.fail(stop, status))),
        (Next::Stop(_), Ok((_, mut response))) => {
            call.annotate(&mut response);
            call.commit();
            Attempted::Over(Ok(ResponseBody::watch(None, response)))
        }
    }
}

/// When a delay ends: never later than the call.
fn end_of(delay: Duration, deadline: Option<Instant>) -> Instant {
    /// Longer than any process lives.
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
    let end = Instant::now() + delay.min(FAR);
    deadline.map_or(end, |deadline| end.min(deadline))
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("retry::ResponseFuture")
            .finish_non_exhaustive()
    }
}
