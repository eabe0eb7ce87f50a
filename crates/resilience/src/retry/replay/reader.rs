use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http_body::{Body, Frame};
use tonic::Status;

use super::Replay;
use super::shared::Step;
use crate::limits::RequestLimit;

/// One attempt's place in a [`Replay`].
pub(super) struct Reader<B> {
    replay: Arc<Replay<B>>,
    id: u32,
    /// The body itself, once it is this reader's alone.
    own: Option<B>,
    /// Looks at what is read of it.
    limited: Option<Box<RequestLimit>>,
    /// Whether it had a message that was too long to be sent.
    is_withheld: bool,
}

impl<B> Reader<B> {
    pub(super) fn new(replay: Arc<Replay<B>>) -> Self {
        Self {
            id: replay.add_reader(),
            replay,
            own: None,
            limited: None,
            is_withheld: false,
        }
    }
}

impl<B> Reader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.is_withheld {
                return Poll::Pending;
            }
            if let Some(own) = &mut self.own {
                let frame = Pin::new(own).poll_frame(cx);
                if let Some(limited) = &mut self.limited
                    && let Poll::Ready(Some(Ok(frame))) = &frame
                    && let Some(data) = frame.data_ref()
                    && !limited.admits(data)
                {
                    self.is_withheld = true;
                    self.own = None;
                    return Poll::Pending;
                }
                return frame.map_err(|error| into_status(error.into()));
            }
            match self.replay.step(self.id, cx) {
                Step::Frame(frame) => return Poll::Ready(frame),
                Step::Wait => return Poll::Pending,
                Step::Own(source, limited) => {
                    self.own = Some(source);
                    self.limited = limited;
                }
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        if let Some(own) = &self.own {
            return own.is_end_stream();
        }
        self.replay.is_at_end(self.id)
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        self.replay.remove_reader(self.id);
    }
}
