use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{MessageKind, MessageTooLarge};
use http_body::Frame;
use tokio::sync::oneshot;
use tonic::Status;

use crate::frames::{Frames, Message};
use crate::method::Method;

/// The longest messages of a call, in bytes on the wire: of a compressed message the compressed
/// ones count, without gRPC's prefix of five. Default: no limits of our own; that of tonic's
/// clients, 4 MiB for a response, is theirs, and holds beside these.
///
/// Of these and of the method's `maxRequestMessageBytes` and `maxResponseMessageBytes`, the lower
/// ones count. Zero leaves only empty messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct MessageLimits {
    /// Of messages that are sent; `None` for no limit.
    pub request: Option<u32>,
    /// Of messages that are received; `None` for no limit.
    pub response: Option<u32>,
}

impl MessageLimits {
    /// What both allow.
    pub(crate) fn and(self, other: Self) -> Self {
        let lower = |one: Option<u32>, other: Option<u32>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            request: lower(self.request, other.request),
            response: lower(self.response, other.response),
        }
    }
}

/// Looks at a request on its way out.
#[derive(Debug)]
pub(crate) struct RequestLimit {
    method: Arc<Method>,
    limit: u32,
    frames: Frames,
    /// `None` once it has told.
    call: Option<oneshot::Sender<Status>>,
}

/// Tells a call that its request has a message that must not be sent. The attempt is then dropped,
/// as if the caller had cancelled it: its endpoint has done nothing wrong.
pub(crate) type TooLarge = oneshot::Receiver<Status>;

impl RequestLimit {
    /// `None` when there is no limit.
    pub(crate) fn of(method: &Arc<Method>) -> Option<(Box<Self>, TooLarge)> {
        let limit = method.limits.request?;
        let (call, too_large) = oneshot::channel();
        let one = Self {
            method: Arc::clone(method),
            limit,
            frames: Frames::default(),
            call: Some(call),
        };
        Some((Box::new(one), too_large))
    }

    /// Why `data`, the next piece of the request, must not be sent.
    pub(crate) fn check(&mut self, data: &[u8]) -> Result<(), Status> {
        match self.frames.find_longer(data, self.limit) {
            None => Ok(()),
            Some(message) => Err(self
                .method
                .too_large(MessageKind::Request, message, self.limit)),
        }
    }

    /// Whether `data` may be sent; if not the call is told.
    pub(crate) fn admits(&mut self, data: &[u8]) -> bool {
        let checked = self.check(data);
        let admits = checked.is_ok();
        if let Err(status) = checked
            && let Some(call) = self.call.take()
        {
            // An error says that the call is over.
            drop(call.send(status));
        }
        admits
    }
}

/// Looks at a response on its way in.
#[derive(Debug)]
pub(crate) struct ResponseLimit {
    method: Arc<Method>,
    limit: Option<u32>,
    frames: Frames,
    /// The request's limit, as it may still be on its way.
    request: Option<TooLarge>,
    /// What the response ends with, once it has been cut.
    end: Option<Status>,
}

/// What a response has given.
type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// The response is cut after these bytes, which may be none.
pub(crate) struct Cut(pub(crate) Bytes);

impl ResponseLimit {
    /// `None` when there is nothing to look at.
    pub(crate) fn of(method: &Arc<Method>, request: Option<TooLarge>) -> Option<Box<Self>> {
        let limit = method.limits.response;
        if limit.is_none() && request.is_none() {
            return None;
        }
        Some(Box::new(Self {
            method: Arc::clone(method),
            limit,
            frames: Frames::default(),
            request,
            end: None,
        }))
    }

    /// Looks at what the response has given. Messages before the one that is too long still come.
    pub(crate) fn check<E>(
        &mut self,
        polled: Polled<E>,
        cx: &mut Context<'_>,
    ) -> Result<Polled<E>, Cut> {
        let data = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref(),
            Poll::Ready(_) => None,
            Poll::Pending => {
                self.end = poll_too_large(&mut self.request, cx);
                match self.end {
                    Some(_) => return Err(Cut(Bytes::new())),
                    None => None,
                }
            }
        };
        let (Some(data), Some(limit)) = (data, self.limit) else {
            return Ok(polled);
        };
        let Some(message) = self.frames.find_longer(data, limit) else {
            return Ok(polled);
        };
        let before = data.slice(..message.at);
        let kind = MessageKind::Response;
        self.end = Some(self.method.too_large(kind, message, limit));
        Err(Cut(before))
    }

    /// What the response ends with after its cut; once.
    pub(crate) const fn take_end(&mut self) -> Option<Status> {
        self.end.take()
    }

    /// Whether there is such an end, and it was not taken.
    pub(crate) const fn has_end(&self) -> bool {
        self.end.is_some()
    }
}

/// Why a request must go no further, as soon as that is known.
pub(crate) fn poll_too_large(
    request: &mut Option<TooLarge>,
    cx: &mut Context<'_>,
) -> Option<Status> {
    let told = match request {
        Some(too_large) => Pin::new(too_large).poll(cx),
        None => return None,
    };
    match told {
        Poll::Pending => None,
        Poll::Ready(told) => {
            // An error says that all of it was sent.
            *request = None;
            told.ok()
        }
    }
}

impl Method {
    #[cold]
    fn too_large(&self, kind: MessageKind, message: Message, limit: u32) -> Status {
        MessageTooLarge::new(self.path.path(), kind, message.length, limit).into()
    }
}
