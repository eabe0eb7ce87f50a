use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use evenkeel_core::observe::head_status;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};
use tower_service::Service;

use super::ReplayBody;
use super::call::{Call, Next};
use super::failure::Failed;
use super::hedging::Hedging;
use crate::ResponseBody;

pin_project! {
    /// The response of a call that may take several attempts.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        #[pin]
        stage: Stage<S::Future, Hedging<S, B>>,
        // Ends the call; `None` until it waits.
        #[pin]
        timer: Option<Sleep>,
        // `None`: failed before its first attempt, or hedged.
        call: Option<Call<S, B>>,
    }
}

pin_project! {
    #[project = StageProject]
    enum Stage<F, H> {
        Attempt { #[pin] future: F },
        Delay { #[pin] sleep: Sleep },
        Ready,
        Failed { status: Option<Status> },
        // In a box: few calls are hedged, and all would be the larger for it.
        Hedged { hedging: Box<H> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    #[inline]
    pub(super) const fn new(call: Call<S, B>, first: S::Future) -> Self {
        Self {
            stage: Stage::Attempt { future: first },
            timer: None,
            call: Some(call),
        }
    }

    #[cold]
    pub(super) fn hedged(hedging: Hedging<S, B>) -> Self {
        Self {
            stage: Stage::Hedged {
                hedging: Box::new(hedging),
            },
            timer: None,
            call: None,
        }
    }

    #[cold]
    pub(super) const fn failed(status: Status) -> Self {
        Self {
            stage: Stage::Failed {
                status: Some(status),
            },
            timer: None,
            call: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
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
            StageProject::Hedged { hedging } => {
                let result = ready!(hedging.poll(cx));
                this.stage.set(Stage::Failed { status: None });
                return Poll::Ready(result);
            }
            _ => this.call.as_mut().expect("all others have one"),
        };
        loop {
            let next = match this.stage.as_mut().project() {
                StageProject::Attempt { future } => {
                    let result = match future.poll(cx) {
                        Poll::Ready(Ok(response)) => match head_status(&response) {
                            code @ (None | Some(Code::Ok)) => {
                                let mut response = response.map(|body| call.deliver(code, body));
                                if call.is_named() {
                                    call.name(&mut response);
                                }
                                return Poll::Ready(Ok(response));
                            }
                            Some(code) => Ok((code, response)),
                        },
                        Poll::Ready(Err(error)) => Err(into_status(error.into())),
                        Poll::Pending => break,
                    };
                    match failed(call, result) {
                        Attempted::Over(result) => return Poll::Ready(result),
                        Attempted::Next(None) => Stage::Ready,
                        Attempted::Next(Some(delay)) => Stage::Delay {
                            sleep: sleep_until(end_of(delay, call.deadline())),
                        },
                    }
                }
                // It is over with the call's time at the latest, which is looked at next.
                StageProject::Delay { sleep } => {
                    ready!(sleep.poll(cx));
                    Stage::Ready
                }
                StageProject::Ready => match call.service().poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let request = call.request_of(call.next_attempt())?;
                        Stage::Attempt {
                            future: call.service().call(request),
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(call.status(into_status(error.into()))));
                    }
                    Poll::Pending => break,
                },
                StageProject::Failed { .. } | StageProject::Hedged { .. } => {
                    unreachable!("these stages were left above")
                }
            };
            this.stage.set(next);
        }
        // The call went first: what it waits for in vain is known there.
        let status = ready!(call.poll_end(this.timer, cx));
        let over = Stage::Failed { status: None };
        let status = match status {
            Some(status) => {
                this.stage.set(over);
                status
            }
            None => call.deadline_exceeded(|| this.stage.set(over)),
        };
        *this.call = None;
        Poll::Ready(Err(status))
    }
}

/// What a failed attempt leads to: the call's result, or the next attempt after a delay.
enum Attempted<R> {
    Over(Result<Response<ResponseBody<R>>, Status>),
    Next(Option<Duration>),
}

#[cold]
fn failed<S, B, R>(
    call: &mut Call<S, B>,
    result: Result<(Code, Response<R>), Status>,
) -> Attempted<R> {
    let next = call.on_failure(match &result {
        Ok((code, response)) => Failed::of_response(*code, response),
        Err(status) => Failed::of_status(status),
    });
    match (next, result) {
        (Next::Now, _) => Attempted::Next(None),
        (Next::After(delay), _) => Attempted::Next(Some(delay)),
        (Next::Stop(stop), Err(status)) => {
            let status = call.fail(stop, status);
            Attempted::Over(Err(call.status(status)))
        }
        (Next::Stop(_), Ok((code, mut response))) => {
            if let Some(status) = call.given_up(code) {
                return Attempted::Over(Err(status));
            }
            if let Some(story) = call.story() {
                story.annotate(&mut response);
            }
            Attempted::Over(Ok(response.map(|body| call.deliver(Some(code), body))))
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
