use std::task::Context;

use bytes::Bytes;
use evenkeel_core::Progress;
use evenkeel_core::error::BoxError;
use evenkeel_core::observe::head_status;
use evenkeel_policy::hedge::HedgeDecision;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower_service::Service;

use super::hedge::Hedge;
use super::{Answer, Hedging};
use crate::retry::ReplayBody;
use crate::retry::failure::Failed;
use crate::retry::story;

impl<S, B, R> Hedging<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    /// What an attempt that is over means for the call; `None` when the call goes on.
    pub(super) fn on_result(
        &mut self,
        hedge: &Hedge<S, S::Future>,
        result: Result<Response<R>, Status>,
        cx: &Context<'_>,
    ) -> Option<Answer<R>> {
        match self.owns(hedge, cx) {
            None => {}
            // It has lost: what it says is of no interest.
            Some(false) => return None,
            Some(true) => {
                self.running.clear();
                self.state.commit();
            }
        }
        let result = match result {
            Ok(response) => match head_status(&response) {
                code @ (None | Some(Code::Ok)) => return self.win(hedge, code, response),
                Some(code) => Ok((code, response)),
            },
            Err(status) => Err(status),
        };
        match (self.on_failure(hedge, &result), result) {
            (HedgeDecision::Transparent, _) => {
                let service = self.call.shared.service();
                let again = match self.unsent {
                    0 | 1 => Hedge::ready(hedge.number, service),
                    _ => Hedge::paused(hedge.number, service),
                };
                self.running.push(again);
                None
            }
            (HedgeDecision::Wait, result) => {
                self.last = self.running.is_empty().then(|| status_of(result));
                None
            }
            (HedgeDecision::Stop(stop), Err(status)) => {
                let status = self.story.fail(&self.call.expiry, stop, status);
                Some(Err(self.call.status(status)))
            }
            (HedgeDecision::Stop(_), Ok((code, mut response))) => {
                if let Some(status) = self.call.given_up(code) {
                    return Some(Err(status));
                }
                self.story.annotate(&mut response);
                self.claim(hedge)
                    .then(|| Ok(response.map(|body| self.call.deliver(Some(code), body))))
            }
        }
    }

    /// Whether the request is left to `hedge`.
    fn claim(&mut self, hedge: &Hedge<S, S::Future>) -> bool {
        let source = self.call.source.as_mut();
        source.is_none_or(|source| source.claim(hedge.reader))
    }

    /// The response that decides the call, unless the request is another attempt's by now.
    fn win(
        &mut self,
        hedge: &Hedge<S, S::Future>,
        code: Option<Code>,
        mut response: Response<R>,
    ) -> Option<Answer<R>> {
        if !self.claim(hedge) {
            return None;
        }
        let attempts = self.state.started();
        if attempts > 1 || self.call.shared.settings.config.name_endpoints {
            story::name(&mut response, attempts, Some(&mut self.story));
        }
        Some(Ok(response.map(|body| self.call.deliver(code, body))))
    }

    #[cold]
    fn on_failure(
        &mut self,
        hedge: &Hedge<S, S::Future>,
        result: &Result<(Code, Response<R>), Status>,
    ) -> HedgeDecision {
        let mut failed = match result {
            Ok((code, response)) => Failed::of_response(*code, response),
            Err(status) => Failed::of_status(status),
        };
        let source = self.call.source.as_ref();
        if let Some(source) = source {
            source.retire(hedge.reader);
        }
        let replay = source.and_then(|source| source.replay());
        failed.failure.is_final |= replay.is_some_and(|replay| replay.has_failed());
        let method = self.call.expiry.method();
        let decision = self.state.on_failure(
            Instant::now().into_std(),
            &failed.failure,
            method.and_then(|it| it.throttle.as_deref()),
        );
        let summary = failed.summary(hedge.number);
        tracing::debug!(
            path = self.call.expiry.path(),
            attempt = %summary,
            message = %summary.message,
            running = self.state.running(),
            ?decision,
            "hedged attempt failed"
        );
        if let Some(picked) = &failed.picked
            && !self.tried.contains(&picked.id)
        {
            self.tried.push(picked.id);
        }
        let never_left =
            decision == HedgeDecision::Transparent && failed.failure.progress == Progress::NotSent;
        if never_left {
            self.unsent += 1;
        } else {
            self.unsent = 0;
            self.story.push(summary);
        }
        decision
    }
}

/// What a failed attempt has said, without its stream.
fn status_of<R>(result: Result<(Code, Response<R>), Status>) -> Status {
    match result {
        Err(status) => status,
        Ok((code, response)) => Status::from_header_map(response.headers())
            .unwrap_or_else(|| Status::new(code, format!("HTTP status {}", response.status()))),
    }
}
