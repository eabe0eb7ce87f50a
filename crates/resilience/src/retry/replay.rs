//! A request body that can be sent again.
//!
//! A body that has come to its end when the call starts (every unary one) is kept as its bytes,
//! which costs a reference count. Any other goes through a [`Replay`]: what one attempt reads is
//! kept for the next ones, several may read at once, and whoever the call commits to takes the
//! body over and reads it directly.

mod budget;
mod reader;
mod shared;
mod upfront;
mod waiting;

pub(super) use budget::{Budget, Lease};
pub(super) use shared::Replay;
pub(super) use upfront::{Upfront, read_upfront};

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::BoxError;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use reader::Reader;

/// The request body of one attempt.
pub struct ReplayBody<B> {
    kind: Kind<B>,
}

enum Kind<B> {
    /// All of it; `None` once it was read.
    Full(Option<Bytes>),
    Shared(Reader<B>),
}

impl<B> ReplayBody<B> {
    pub(super) const fn full(data: Option<Bytes>) -> Self {
        Self {
            kind: Kind::Full(data),
        }
    }

    pub(super) fn shared(replay: &Arc<Replay<B>>) -> Self {
        Self {
            kind: Kind::Shared(Reader::new(Arc::clone(replay))),
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut self.kind {
            Kind::Full(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Kind::Shared(reader) => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(data) => data.is_none(),
            Kind::Shared(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(data) => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Shared(_) => SizeHint::default(),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Full(_) => "full",
            Kind::Shared(_) => "shared",
        };
        f.debug_tuple("ReplayBody").field(&kind).finish()
    }
}
