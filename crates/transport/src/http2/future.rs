use std::fmt;
use std::future::Future;
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
    Sent {
        pump: Option<Pump<B>>,
        response: h2::client::ResponseFuture,
        shared: Arc<Shared>,
    },
    Done,
}

impl<B: RequestBody> ResponseFuture<B> {
    pub(super) const fn new(request: Request<B>, shared: Arc<Shared>) -> Self {
        Self {
            state: State::Unsent { request, shared },
        }
    }
}

impl<B: RequestBody> State<B> {
    fn start(
        request: Request<B>,
        shared: Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Status> {
        let mut send = shared.send.clone();
        // Asked first, because a request that `send_request` does not accept is gone.
        if let Poll::Ready(Err(error)) = send.poll_ready(cx) {
            return Err(status::unsent(request, shared.link.reason(&error)));
        }
        let (parts, body) = request.into_parts();
        let head = shared.head.complete(parts);
        let ended = body.is_end_stream();
        let (response, stream) = send.send_request(head, ended).map_err(|error| {
            let connection = match send.poll_ready(cx) {
                Poll::Ready(connection) => connection,
                Poll::Pending => Ok(()),
            };
            status::not_accepted(&error, connection, &shared.link)
        })?;
        drop(send);
        Ok(Self::Sent {
            pump: (!ended).then(|| Pump::new(body, stream)),
            response,
            shared,
        })
    }
}

impl<B: RequestBody> Future for ResponseFuture<B> {
    type Output = Result<Response<ResponseBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent { .. } = self.state
            && let State::Unsent { request, shared } = mem::replace(&mut self.state, State::Done)
        {
            self.state = State::start(request, shared, cx)?;
        }
        let State::Sent {
            pump,
            response,
            shared,
        } = &mut self.state
        else {
            panic!("ResponseFuture polled after it was ready");
        };
        if let Some(running) = pump
            && let Poll::Ready(ended) = running.poll(cx)
        {
            *pump = None;
            if let Err(status) = ended {
                self.state = State::Done;
                return Poll::Ready(Err(status));
            }
        }
        let result = match ready!(Pin::new(&mut *response).poll(cx)) {
            Ok(response) => Ok(assemble(response, pump.take(), shared)),
            Err(error) => {
                let stream_id = response.stream_id().as_u32();
                Err(status::before_head(&error, stream_id, &shared.link))
            }
        };
        self.state = State::Done;
        Poll::Ready(result)
    }
}

fn assemble<B: RequestBody>(
    response: Response<h2::RecvStream>,
    pump: Option<Pump<B>>,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    let (mut parts, stream) = response.into_parts();
    clean_status_details(&mut parts.headers);
    let body = if stream.is_end_stream() {
        if let Some(mut pump) = pump {
            pump.stop();
        }
        ResponseBody::ended()
    } else {
        let pump = pump.map(|mut pump| {
            let rest = std::future::poll_fn(move |cx| pump.poll(cx));
            PumpTask(shared.runtime.spawn(rest))
        });
        ResponseBody::new(stream, pump, shared.clone())
    };
    Response::from_parts(parts, body)
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unsent { .. } => "unsent",
            State::Sent { .. } => "sent",
            State::Done => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
