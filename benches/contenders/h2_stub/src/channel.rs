use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::{Body, Frame};
use tower_service::Service;

#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) connections: Vec<Connection>,
    pub(crate) next: Arc<AtomicUsize>,
}

#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) send: SendRequest<Bytes>,
    /// Ready to be cloned, path included.
    pub(crate) uri: Uri,
}

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Answer>;
    type Error = tonic::Status;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), tonic::Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> ResponseFuture {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let Connection { send, uri } = self.connections[place].clone();
        let (mut parts, body) = request.into_parts();
        parts.uri = uri;
        let user_agent = HeaderValue::from_static("by-hand/1");
        parts.headers.insert(header::USER_AGENT, user_agent);
        ResponseFuture {
            body,
            held: None,
            state: State::Waiting(send, Request::from_parts(parts, ())),
        }
    }
}

/// Sends the head, pumps the request's body, and waits for the head of the response.
pub(crate) struct ResponseFuture {
    body: tonic::body::Body,
    /// Perhaps the last frame, which must carry END_STREAM.
    held: Option<Bytes>,
    state: State,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation per call"
)]
enum State {
    Waiting(SendRequest<Bytes>, Request<()>),
    Sent {
        response: h2::client::ResponseFuture,
        stream: Option<SendStream<Bytes>>,
    },
    Done,
}

impl Future for ResponseFuture {
    type Output = Result<Response<Answer>, tonic::Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Waiting(send, _) = &mut this.state {
            ready!(send.poll_ready(cx)).map_err(failed)?;
        }
        if let State::Waiting(..) = this.state
            && let State::Waiting(mut send, head) = mem::replace(&mut this.state, State::Done)
        {
            let (response, stream) = send.send_request(head, false).map_err(failed)?;
            let stream = Some(stream);
            this.state = State::Sent { response, stream };
        }
        let State::Sent { response, stream } = &mut this.state else {
            panic!("polled after it was ready");
        };
        while let Some(open) = stream {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    // Requests have no trailers.
                    if let Ok(data) = frame?.into_data()
                        && let Some(before) = this.held.replace(data)
                    {
                        open.send_data(before, false).map_err(failed)?;
                    }
                }
                Poll::Ready(None) => {
                    let last = this.held.take().unwrap_or_default();
                    open.send_data(last, true).map_err(failed)?;
                    *stream = None;
                }
                Poll::Pending => break,
            }
        }
        let response = ready!(Pin::new(response).poll(cx)).map_err(failed)?;
        this.state = State::Done;
        Poll::Ready(Ok(response.map(Answer)))
    }
}

/// The body of a response.
pub(crate) struct Answer(RecvStream);

impl Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if let Some(data) = ready!(self.0.poll_data(cx)) {
            let data = data.map_err(failed)?;
            let flow = self.0.flow_control();
            flow.release_capacity(data.len()).map_err(failed)?;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(self.0.poll_trailers(cx)).map_err(failed)?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

fn failed(error: h2::Error) -> tonic::Status {
    tonic::Status::unavailable(error.to_string())
}
