//! The attempts of a hedged call, side by side.

mod hedge;
mod result;

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use evenkeel_core::error::BoxError;
use evenkeel_core::{Hedges, Tried};
use evenkeel_policy::hedge::{HedgeStart, HedgeState, HedgingPolicy};
use evenkeel_policy::retry::Stop;
use http::{Request, Response};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tower_service::Service;

use self::hedge::Hedge;
use super::ReplayBody;
use super::call::Call;
use super::story::Story;
use crate::ResponseBody;

/// A call whose attempts run side by side. Dropping it drops all of them.
pub(super) struct Hedging<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    call: Call<S, B>,
    state: HedgeState,
    /// Where the attempts are.
    hedges: Hedges,
    /// Where those were that have failed.
    tried: Tried,
    /// Whether an attempt was waiting for an endpoint when that was last looked at.
    was_queued: bool,
    running: Vec<Hedge<S, S::Future>>,
    story: Story,
    /// How the last attempt failed, while none is running.
    last: Option<Status>,
    /// Attempts in a row that never left.
    unsent: u32,
    /// Starts the next attempt.
    next: Option<Pin<Box<Sleep>>>,
    /// Ends the call.
    timer: Pin<Box<Option<Sleep>>>,
}

/// What came of polling the attempts.
enum Polled<R> {
    /// One decides the call.
    Over(Answer<R>),
    /// One is over, and the call goes on.
    Failed,
    Pending,
}

/// What a call ends with.
type Answer<R> = Result<Response<ResponseBody<R>>, Status>;

impl<S, B> Hedging<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    /// A call whose `first` attempt, one of these `hedges`, was sent.
    pub(super) fn new(
        call: Call<S, B>,
        policy: HedgingPolicy,
        hedges: Hedges,
        first: S::Future,
    ) -> Self {
        let mut state = HedgeState::new(policy, Instant::now().into_std());
        if call.source.is_none() {
            // It cannot be sent again.
            state.commit();
        }
        let reader = call.source.as_ref().and_then(|source| source.reader());
        Self {
            state,
            hedges,
            tried: Tried::new(),
            was_queued: false,
            running: vec![Hedge::sent(1, reader, first)],
            call,
            story: Story::default(),
            last: None,
            unsent: 0,
            next: None,
            timer: Box::pin(None),
        }
    }

    /// Whether `hedge` is the only one that can still read the request, if there is such a one.
    fn owns(&self, hedge: &Hedge<S, S::Future>, cx: &Context<'_>) -> Option<bool> {
        let replay = self.call.source.as_ref()?.replay()?;
        let owner = replay.poll_owner(cx)?;
        Some(hedge.reader == Some(owner))
    }

    /// Drops the attempts that can no longer read the request, if one has read more of it than the
    /// buffers hold.
    fn drop_lost(&mut self, cx: &Context<'_>) {
        let replay = self.call.source.as_ref().and_then(|it| it.replay());
        let owner = replay.and_then(|replay| replay.poll_owner(cx));
        if let Some(owner) = owner {
            self.running.retain(|hedge| hedge.reader == Some(owner));
            self.state.commit();
        }
    }

    /// Ready when another attempt is to start, or when none is left to.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<HedgeStart> {
        if self.state.next_at().is_none() {
            return Poll::Pending;
        }
        // Whoever waits for an endpoint is polled when there is one, and this after it.
        if self.hedges.is_any_queued() {
            self.was_queued = true;
            return Poll::Pending;
        }
        let mut now = Instant::now();
        if mem::take(&mut self.was_queued) {
            self.state.placed(now.into_std());
        }
        let is_over = self.call.ends && self.call.deadline().is_some_and(|at| at <= now);
        let at = self.state.next_at().map(Instant::from_std);
        let Some(at) = at.filter(|_| !is_over) else {
            return Poll::Pending;
        };
        if now < at {
            let next = self.next.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if next.deadline() != at {
                next.as_mut().reset(at);
            }
            ready!(next.as_mut().poll(cx));
            now = at;
        }
        let throttle = self.call.expiry.method();
        let throttle = throttle.and_then(|it| it.throttle.as_deref());
        Poll::Ready(self.state.start(now.into_std(), throttle))
    }

    /// The call has failed between two attempts.
    fn fail(&mut self, stop: Stop) -> Status {
        let last = self.last.take();
        let last = last.unwrap_or_else(|| Status::cancelled("no attempt is left"));
        let status = self.story.fail(&self.call.expiry, stop, last);
        self.call.status(status)
    }
}

impl<S, B, R> Hedging<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        loop {
            self.drop_lost(cx);
            let has_failed = match self.poll_running(cx) {
                Polled::Over(answer) => {
                    self.running.clear();
                    return Poll::Ready(answer);
                }
                Polled::Failed => true,
                Polled::Pending => false,
            };
            // After each failure anew: each may start an attempt.
            match self.poll_start(cx) {
                Poll::Ready(HedgeStart::Yes(number)) => self.add(number),
                Poll::Ready(HedgeStart::Stop(stop)) => return Poll::Ready(Err(self.fail(stop))),
                Poll::Ready(HedgeStart::No) => {}
                Poll::Pending if self.running.is_empty() && self.state.next_at().is_none() => {
                    return Poll::Ready(Err(self.fail(Stop::Committed)));
                }
                Poll::Pending if has_failed => {}
                Poll::Pending => break,
            }
        }
        let status = ready!(self.call.poll_end(self.timer.as_mut(), cx));
        let Self {
            running,
            story,
            call,
            ..
        } = self;
        let exceeded = || story.deadline_exceeded(&call.expiry, || running.clear());
        let status = status.unwrap_or_else(exceeded);
        self.running.clear();
        Poll::Ready(Err(status))
    }

    fn add(&mut self, number: u32) {
        let service = self.call.shared.service();
        self.running.push(Hedge::ready(number, service));
    }

    /// Polls the attempts until one is over.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Polled<R> {
        for index in 0..self.running.len() {
            let hedge = &mut self.running[index];
            let polled = hedge.poll(&mut self.call, &self.tried, &self.hedges, cx);
            if let Poll::Ready(result) = polled {
                let hedge = self.running.remove(index);
                self.hedges.remove(hedge.number);
                return match self.on_result(&hedge, result, cx) {
                    Some(answer) => Polled::Over(answer),
                    None => Polled::Failed,
                };
            }
        }
        Polled::Pending
    }
}

impl<S, B> fmt::Debug for Hedging<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedging")
            .field("state", &self.state)
            .field("story", &self.story)
            .finish_non_exhaustive()
    }
}
