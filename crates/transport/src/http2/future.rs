use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response};
use tonic::Status;

use super::body::{PumpTask, ResponseBody, clean_status_details};
use super::connection::Shared;
use super::pump::Pump;
use super::status;
use super::streams::OpenStream;
use crate::RequestBody;

/// One request on its way, until the head of its response.
///
/// It is on its way when this is made: its head, and as much of its body as there is without
/// waiting. Dropping this resets the stream with CANCEL.
pub struct ResponseFuture<B> {
    state: State<B>,
}

enum State<B> {
    Sent(Sent<B>),
    /// Not even sent.
    Failed(Status),
    Done,
}

struct Sent<B> {
    /// Of a body that has not ended at once, as those of most calls do.
    pump: Option<Box<Pump<B>>>,
    response: h2::client::ResponseFuture,
    /// Until its response has it.
    open: Option<OpenStream>,
}

impl<B: RequestBody> ResponseFuture<B> {
    pub(super) fn new(request: Request<B>, shared: &Arc<Shared>) -> Self {
        // A waker that wakes nobody, because the first poll asks again whatever had to wait.
        let mut cx = Context::from_waker(Waker::noop());
        let state = match Sent::start(request, shared, &mut cx) {
            Ok(sent) => State::Sent(sent),
            Err(status) => State::Failed(status),
        };
        Self { state }
    }
}

impl<B: RequestBody> Sent<B> {
    #[inline]
    fn start(
        request: Request<B>,
        shared: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Status> {
        let mut send = shared.send.clone();
        // Asked first, because a request that `send_request` does not accept is gone.
        if let Poll::Ready(Err(error)) = send.poll_ready(cx) {
            return Err(status::unsent(request, shared.link.reason(&error)));
        }
        let (parts, body) = request.into_parts();
        let mut head = Request::from_parts(parts, ());
        shared.head.complete(&mut head);
        let ended = body.is_end_stream();
        let (response, stream) = send.send_request(head, ended).map_err(|error| {
            let connection = match send.poll_ready(cx) {
                Poll::Ready(connection) => connection,
                Poll::Pending => Ok(()),
            };
            status::not_accepted(&error, connection, &shared.link)
        })?;
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
            open: Some(OpenStream::new(shared)),
        })
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
                let open = self.open.as_ref().expect("its response has not come");
                Err(status::before_head(&error, stream_id, &open.link))
            }
        })
    }

    fn assemble(&mut self, mut response: Response<h2::RecvStream>) -> Response<ResponseBody> {
        clean_status_details(response.headers_mut());
        let open = self.open.take().expect("it comes once");
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
                PumpTask(open.runtime.spawn(rest))
            });
            ResponseBody::new(stream, pump, open)
        })
    }
}

impl<B: RequestBody> Future for ResponseFuture<B> {
    type Output = Result<Response<ResponseBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Sent(sent) => match sent.poll_pump(cx) {
                Ok(()) => ready!(sent.poll_response(cx)),
                Err(status) => Err(status),
            },
            _ => self.fail(),
        };
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl<B> ResponseFuture<B> {
    #[cold]
    fn fail<R>(&mut self) -> Result<R, Status> {
        match mem::replace(&mut self.state, State::Done) {
            State::Failed(status) => Err(status),
            _ => panic!("ResponseFuture polled after it was ready"),
        }
    }
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Sent(_) => "sent",
            State::Failed(_) => "failed",
            State::Done => "done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
