use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tonic::Status;

use super::body::{PumpTask, ResponseBody, clean_status_details};
use super::connection::Shared;
use super::pump::Pump;
use super::status;
use crate::RequestBody;

/// One request on its way, until the head of its response; nothing leaves before the first poll.
///
/// Dropping it resets the stream with CANCEL.
pub struct ResponseFuture<B> {
    state: State<B>,
}

enum State<B> {
    Unsent {
        request: Request<B>,
        shared: Arc<Shared>,
    },
    Sent(Sent<B>),
    Done,
}

struct Sent<B> {
    /// Of a body that the first poll did not see the end of, which those of most calls end in.
    pump: Option<Box<Pump<B>>>,
    response: h2::client::ResponseFuture,
    shared: Arc<Shared>,
}

impl<B: RequestBody> ResponseFuture<B> {
    pub(super) const fn new(request: Request<B>, shared: Arc<Shared>) -> Self {
        Self {
            state: State::Unsent { request, shared },
        }
    }
}

impl<B: RequestBody> Sent<B> {
    fn start(
        mut request: Request<B>,
        shared: Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Status> {
        let mut send = shared.send.clone();
        // Asked first, because a request that `send_request` does not accept is gone.
        if let Poll::Ready(Err(error)) = send.poll_ready(cx) {
            return Err(status::unsent(request, shared.link.reason(&error)));
        }
        shared.head.complete(&mut request);
        let (parts, body) = request.into_parts();
        let ended = body.is_end_stream();
        let head = Request::from_parts(parts, ());
        let (response, stream) = send.send_request(head, ended).map_err(|error| {
            let connection = match send.poll_ready(cx) {
                Poll::Ready(connection) => connection,
                Poll::Pending => Ok(()),
            };
            status::not_accepted(&error, connection, &shared.link)
        })?;
        drop(send);
        let mut pump = None;
        if !ended {
            let mut begun = Pump::new(body, stream);
            match begun.poll(cx) {
                Poll::Ready(ended) => ended?,
                Poll::Pending => pump = Some(Box::new(begun)),
            }
        }
        Ok(Self {
            pump,
            response,
            shared,
        })
    }

    fn poll_pump(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(ended) = pump.poll(cx)
        {
            self.pump = None;
            ended?;
        }
        Ok(())
    }

    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, Status>> {
        let result = ready!(Pin::new(&mut self.response).poll(cx));
        Poll::Ready(match result {
            Ok(response) => Ok(self.assemble(response)),
            Err(error) => {
                let stream_id = self.response.stream_id().as_u32();
                Err(status::before_head(&error, stream_id, &self.shared.link))
            }
        })
    }

    fn assemble(&mut self, mut response: Response<h2::RecvStream>) -> Response<ResponseBody> {
        clean_status_details(response.headers_mut());
        response.map(|stream| {
            let pump = self.pump.take();
            if stream.is_end_stream() {
                if let Some(mut pump) = pump {
                    pump.stop();
                }
                return ResponseBody::ended();
            }
            let pump = pump.map(|mut pump| {
                let rest = poll_fn(move |cx| pump.poll(cx));
                PumpTask(self.shared.runtime.spawn(rest))
            });
            ResponseBody::new(stream, pump, self.shared.clone())
        })
    }
}

impl<B: RequestBody> Future for ResponseFuture<B> {
    type Output = Result<Response<ResponseBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent { .. } = self.state
            && let State::Unsent { request, shared } = mem::replace(&mut self.state, State::Done)
        {
            let mut sent = Sent::start(request, shared, cx)?;
            let polled = sent.poll_response(cx);
            if polled.is_pending() {
                self.state = State::Sent(sent);
            }
            return polled;
        }
        let State::Sent(sent) = &mut self.state else {
            panic!("ResponseFuture polled after it was ready");
        };
        let result = match sent.poll_pump(cx) {
            Ok(()) => ready!(sent.poll_response(cx)),
            Err(status) => Err(status),
        };
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unsent { .. } => "unsent",
            State::Sent(_) => "sent",
            State::Done => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
