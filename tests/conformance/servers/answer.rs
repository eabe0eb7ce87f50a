use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::Progress;
use evenkeel_core::error::AttemptError;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use tonic::{Code, Status};

/// What a server does with one request.
pub(crate) struct Answer {
    pub(super) gives: Gives,
    /// How long it takes.
    after: Duration,
    /// How many messages it reads before; `None` for all of them.
    reads: Option<usize>,
}

pub(super) enum Gives {
    /// The request, which was never sent: the connection was gone.
    Back,
    Nothing,
    Failure(Code, Progress),
    TrailersOnly(HeaderMap),
    /// Headers, a message if it is OK, and the trailers.
    Response(HeaderMap),
    /// Headers, and then nothing.
    Head,
}

impl Answer {
    const fn new(gives: Gives) -> Self {
        Self {
            gives,
            after: Duration::ZERO,
            reads: None,
        }
    }

    /// A message and OK.
    pub(crate) fn ok() -> Self {
        Self::new(Gives::Response(status(Code::Ok)))
    }

    /// Trailers-Only.
    pub(crate) fn fails(code: Code) -> Self {
        Self::new(Gives::TrailersOnly(status(code)))
    }

    /// Response-Headers, and then trailers.
    pub(crate) fn fails_after_headers(code: Code) -> Self {
        Self::new(Gives::Response(status(code)))
    }

    /// Response-Headers, and no end.
    pub(crate) const fn begins() -> Self {
        Self::new(Gives::Head)
    }

    /// The connection was gone before the request was sent.
    pub(crate) const fn unsent() -> Self {
        Self::new(Gives::Back)
    }

    /// RST_STREAM(REFUSED_STREAM), or a GOAWAY whose last stream is an earlier one.
    pub(crate) const fn refused() -> Self {
        Self::new(Gives::Failure(Code::Unavailable, Progress::Refused))
    }

    /// The connection is lost once the request was sent.
    pub(crate) const fn lost() -> Self {
        Self::new(Gives::Failure(Code::Unavailable, Progress::Sent))
    }

    /// Nothing.
    pub(crate) const fn hangs() -> Self {
        Self::new(Gives::Nothing)
    }

    /// The same, but later.
    pub(crate) const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// The same, when so many messages have come.
    pub(crate) const fn having_read(mut self, messages: usize) -> Self {
        self.reads = Some(messages);
        self
    }

    /// The same with one more field in its trailers, or in its head if that is all there is.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let (Gives::TrailersOnly(headers) | Gives::Response(headers)) = &mut self.gives else {
            panic!("it has no trailers");
        };
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
        self
    }

    /// The same with a pushback.
    pub(crate) fn pushing_back(self, value: &str) -> Self {
        self.with("grpc-retry-pushback-ms", value)
    }

    pub(super) fn wants_more(&self, messages: &[usize]) -> bool {
        self.reads.is_none_or(|count| messages.len() < count)
    }

    pub(super) async fn wait(&self) {
        // A timer takes a millisecond at least.
        if !self.after.is_zero() {
            tokio::time::sleep(self.after).await;
        }
    }

    /// Whether the connection is gone after it.
    pub(super) const fn closes(&self) -> bool {
        matches!(self.gives, Gives::Failure(_, Progress::Sent))
    }

    pub(super) async fn give(self) -> Result<Response<UnsyncBoxBody<Bytes, Status>>, Status> {
        let mut response = Response::new(());
        let frames = match self.gives {
            Gives::Back | Gives::Nothing => std::future::pending().await,
            Gives::Failure(code, progress) => {
                return Err(AttemptError::new(progress, "scripted").into_status(code));
            }
            Gives::TrailersOnly(headers) => {
                *response.headers_mut() = headers;
                stream::empty().boxed()
            }
            Gives::Response(trailers) => {
                // An empty message, which is one of any type.
                let message = Frame::data(Bytes::from_static(&[0; 5]));
                let is_ok = trailers["grpc-status"] == "0";
                let message = is_ok.then_some(Ok(message));
                let trailers = Ok(Frame::trailers(trailers));
                stream::iter(message.into_iter().chain([trailers])).boxed()
            }
            Gives::Head => stream::pending().boxed(),
        };
        Ok(response.map(|()| StreamBody::new(frames).boxed_unsync()))
    }
}

fn status(code: Code) -> HeaderMap {
    let name = HeaderName::from_static("grpc-status");
    HeaderMap::from_iter([(name, HeaderValue::from(code as i32))])
}

/// What was read of a request.
#[derive(Default)]
pub(super) struct Read {
    pub(super) messages: Vec<usize>,
    pub(super) has_ended: bool,
    rest: Vec<u8>,
}

impl Read {
    pub(super) fn push(&mut self, data: &[u8]) {
        self.rest.extend(data);
        while let [_, length @ ..] = &self.rest[..self.rest.len().min(5)]
            && let Ok(length) = <[u8; 4]>::try_from(length)
        {
            let length = u32::from_be_bytes(length) as usize;
            if self.rest.len() < 5 + length {
                return;
            }
            self.rest.drain(..5 + length);
            self.messages.push(length);
        }
    }
}
