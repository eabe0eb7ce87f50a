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
        // Apart, so that neither is moved more than once.
        head: Request<()>,
        body: B,
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
    pub(super) fn new(request: Request<B>, shared: Arc<Shared>) -> Self {
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        Self {
            state: State::Unsent { head, body, shared },
        }
    }

    /// Sends what has not been sent yet.
    fn start(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        let State::Unsent { head, shared, .. } = &mut self.state else {
            return Ok(());
        };
        let mut send = shared.send.clone();
        // Asked first, because a request that `send_request` does not accept is gone.
        let refused = match send.poll_ready(cx) {
            Poll::Ready(Err(error)) => Some(shared.link.reason(&error)),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        if refused.is_none() {
            shared.head.complete(head);
        }
        let State::Unsent { head, body, shared } = mem::replace(&mut self.state, State::Done)
        else {
            return Ok(());
        };
        if let Some(reason) = refused {
            return Err(status::unsent(head.map(|()| body), reason));
        }
        let ended = body.is_end_stream();
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
        self.state = State::Sent(Sent {
            pump,
            response,
            shared,
        });
        Ok(())
    }
}

impl<B: RequestBody> Sent<B> {
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
        self.start(cx)?;
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
