//! One attempt: placed on an endpoint, placed again while it has not left, settled at its end.

mod place;
mod skipped;

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_core::error::{
    AttemptError, BoxError, ChannelClosed, DeadlineExceeded, cause, into_status,
};
use evenkeel_core::observe::{Guard, ObservedBody, head_status};
use evenkeel_core::{Attempt, Connectivity, Deadline, Picked, Progress};
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::task::coop::consume_budget;
use tonic::{Code, Status};
use tower_service::Service;

use self::place::place;
use self::skipped::Skipped;
use crate::snapshot::{Owner, Shared, Snapshot};
use crate::ticket::EndpointTicket;

/// The body of a response: its end settles what the balancer counts of the endpoint.
pub type EndpointBody<R, S> = ObservedBody<R, EndpointTicket<S>>;

pin_project! {
    /// The response of one attempt through a balancer.
    ///
    /// Dropping it takes the attempt back: a queued one leaves the queue and counts for nothing, a sent one
    /// is reset.
    pub struct ResponseFuture<S, B>
    where
        S: Connectivity,
        S::Sender: Service<Request<B>>,
    {
        #[pin]
        stage: Stage<S, <S::Sender as Service<Request<B>>>::Future, B>,
        skipped: Skipped,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S: Connectivity, F, B> {
        /// On its way to an endpoint.
        Sent {
            #[pin]
            response: F,
            guard: Guard<EndpointTicket<S>>,
            version: u64,
            is_named: bool,
        },
        // These are in boxes: few requests wait, and all would be the larger for it.
        /// The layers around the picked endpoint want it to wait.
        Unready { unready: Option<Box<Unready<S, B>>> },
        /// Waiting for the next snapshot.
        Queued { queued: Option<Box<Queued<S, B>>> },
        Failed { status: Option<Status> },
    }
}

struct Unready<S: Connectivity, B> {
    owner: Arc<Owner<S>>,
    sender: S::Sender,
    request: Request<B>,
    guard: Unsent<S>,
    version: u64,
    is_named: bool,
}

/// The ticket of an attempt that has yet to leave: dropped, it is taken back. Nothing that its endpoint did
/// or did not do is the reason.
struct Unsent<S: Connectivity>(Guard<EndpointTicket<S>>);

impl<S: Connectivity> Unsent<S> {
    const fn leave(&mut self) -> Guard<EndpointTicket<S>> {
        mem::replace(&mut self.0, Guard::empty())
    }
}

impl<S: Connectivity> Drop for Unsent<S> {
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take() {
            ticket.take_back();
        }
    }
}

struct Queued<S, B> {
    owner: Arc<Owner<S>>,
    wait: Pin<Box<dyn Future<Output = Waited> + Send>>,
    request: Request<B>,
}

enum Waited {
    NextSnapshot,
    DeadlineExceeded,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Connectivity<Sender: Service<Request<B>, Error: Into<BoxError>>> + Send + Sync + 'static,
    B: Send + 'static,
{
    #[inline]
    pub(crate) fn start(
        snapshot: &Snapshot<S>,
        request: Request<B>,
        owner: &Arc<Owner<S>>,
    ) -> Self {
        let mut skipped = Skipped::default();
        Self {
            stage: place(snapshot, owner, request, &mut skipped),
            skipped,
        }
    }
}

impl<S, F, B> Stage<S, F, B>
where
    S: Connectivity + Send + Sync + 'static,
{
    #[cold]
    fn queued(request: Request<B>, version: u64, owner: &Arc<Owner<S>>) -> Self {
        if let Some(attempt) = request.extensions().get::<Attempt>()
            && let Some(hedges) = &attempt.hedges
        {
            hedges.queue(attempt.number);
        }
        let deadline = request.extensions().get::<Deadline>().copied();
        let wait = Box::pin(wait(owner.shared.clone(), version, deadline));
        Self::Queued {
            queued: Some(Box::new(Queued {
                owner: owner.clone(),
                wait,
                request,
            })),
        }
    }

    #[cold]
    fn unready(
        owner: &Arc<Owner<S>>,
        sender: S::Sender,
        request: Request<B>,
        guard: Guard<EndpointTicket<S>>,
        version: u64,
        is_named: bool,
    ) -> Self {
        Self::Unready {
            unready: Some(Box::new(Unready {
                owner: owner.clone(),
                sender,
                request,
                guard: Unsent(guard),
                version,
                is_named,
            })),
        }
    }

    #[cold]
    const fn failed(status: Status) -> Self {
        Self::Failed {
            status: Some(status),
        }
    }
}

/// Waits for a snapshot newer than `version`.
async fn wait<S>(shared: Arc<Shared<S>>, version: u64, deadline: Option<Deadline>) -> Waited {
    let mut versions = shared.version.subscribe();
    let newer = versions.wait_for(|present| *present > version);
    match deadline {
        // The sender is in `shared`: there will be an answer.
        None => drop(newer.await),
        Some(Deadline(at)) => {
            if tokio::time::timeout_at(at.into(), newer).await.is_err() {
                return Waited::DeadlineExceeded;
            }
        }
    }
    Waited::NextSnapshot
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Connectivity + Send + Sync + 'static,
    S::Sender: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: Send + 'static,
    R: Body<Error: Into<BoxError>>,
{
    type Output = Result<Response<EndpointBody<R, S>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (owner, request) = match this.stage.as_mut().project() {
                StageProjection::Sent {
                    response,
                    guard,
                    version,
                    is_named,
                } => {
                    let error = match ready!(response.poll(cx)) {
                        Ok(response) => {
                            let response = settle_or_watch(response, guard, *is_named);
                            return Poll::Ready(Ok(response));
                        }
                        Err(error) => into_status(error.into()),
                    };
                    match given_back(&error) {
                        Some(request) => {
                            let ticket = guard.ticket();
                            let owner = ticket.and_then(|ticket| ticket.slot().owner.upgrade());
                            this.skipped.add(guard, *version);
                            match owner {
                                Some(owner) => (owner, request),
                                None => return Poll::Ready(Err(channel_dropped())),
                            }
                        }
                        None => return Poll::Ready(Err(failed(&error, guard))),
                    }
                }
                StageProjection::Unready { unready } => {
                    let waiting = unready.as_mut().expect("kept until it is ready");
                    let ready = ready!(waiting.sender.poll_ready(cx));
                    let Unready {
                        owner,
                        mut sender,
                        request,
                        mut guard,
                        version,
                        is_named,
                    } = *unready.take().expect("it was just polled");
                    let mut guard = guard.leave();
                    match ready {
                        Ok(()) => {
                            let response = sender.call(request);
                            this.stage.set(Stage::Sent {
                                response,
                                guard,
                                version,
                                is_named,
                            });
                            continue;
                        }
                        Err(error) => {
                            this.skipped.add_broken(&mut guard, version, error.into());
                            (owner, request)
                        }
                    }
                }
                StageProjection::Queued { queued } => {
                    let waiting = queued.as_mut().expect("kept while it is queued");
                    let waited = ready!(waiting.wait.as_mut().poll(cx));
                    let Queued { owner, request, .. } = *queued.take().expect("it was just polled");
                    if let Waited::DeadlineExceeded = waited {
                        let waiting_for = owner.shared.describe().to_string();
                        let error = DeadlineExceeded::new(request.uri().path());
                        return Poll::Ready(Err(error.with_last(waiting_for).into()));
                    }
                    (owner, request)
                }
                StageProjection::Failed { status } => {
                    // Whoever calls again and again, and fails at once, lets others run.
                    ready!(pin!(consume_budget()).poll(cx));
                    return Poll::Ready(Err(status.take().expect("polled after it was ready")));
                }
            };
            let snapshot = owner.shared.snapshot.load_full();
            let stage = place(&snapshot, &owner, request, this.skipped);
            this.stage.set(stage);
        }
    }
}

/// It came back when nobody had the channel any more.
#[cold]
fn channel_dropped() -> Status {
    ChannelClosed::new("its last handle was dropped").into()
}

/// The request of an attempt that never left.
fn given_back<B: 'static>(error: &Status) -> Option<Request<B>> {
    let error = cause::<AttemptError>(error)?;
    if error.progress() == Progress::NotSent {
        error.take_request()
    } else {
        None
    }
}

/// A response has begun. One that has failed already says which endpoint failed it, for whoever
/// tries again elsewhere; another one if that `is_named`.
#[inline]
fn settle_or_watch<R: Body, S: Connectivity>(
    mut response: Response<R>,
    guard: &mut Guard<EndpointTicket<S>>,
    is_named: bool,
) -> Response<EndpointBody<R, S>> {
    if is_named {
        name(&mut response, guard);
    }
    let decided = head_status(&response);
    if matches!(decided, None | Some(Code::Ok))
        && let Some(ticket) = guard.ticket_mut()
    {
        ticket.answered();
    }
    match decided {
        None => guard.watch_decided(None, response),
        decided => settle(decided, response, guard),
    }
}

#[cold]
fn settle<R: Body, S: Connectivity>(
    decided: Option<Code>,
    mut response: Response<R>,
    guard: &mut Guard<EndpointTicket<S>>,
) -> Response<EndpointBody<R, S>> {
    if decided != Some(Code::Ok) {
        name(&mut response, guard);
    }
    guard.watch_decided(decided, response)
}

#[cold]
fn name<R, S: Connectivity>(response: &mut Response<R>, guard: &Guard<EndpointTicket<S>>) {
    if let Some(picked) = picked(guard) {
        response.extensions_mut().insert(picked);
    }
}

/// An attempt that was sent has failed without a response.
fn failed<S: Connectivity>(error: &Status, guard: &mut Guard<EndpointTicket<S>>) -> Status {
    let progress = cause::<AttemptError>(error).map_or(Progress::Sent, AttemptError::progress);
    let picked = picked(guard);
    if let Some(ticket) = guard.take() {
        ticket.settle_status(error);
    }
    let mut attempt = AttemptError::new(progress, error.clone());
    if let Some(picked) = picked {
        attempt = attempt.with_picked(picked);
    }
    let mut status = attempt.into_status(error.code());
    *status.metadata_mut() = error.metadata().clone();
    status
}

fn picked<S: Connectivity>(guard: &Guard<EndpointTicket<S>>) -> Option<Picked> {
    guard.ticket().map(|ticket| ticket.slot().picked())
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Connectivity<Sender: Service<Request<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
