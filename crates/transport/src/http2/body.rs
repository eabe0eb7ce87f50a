use std::fmt;
use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::status::after_head;
use super::streams::OpenStream;

/// The body of one response: messages, then trailers.
///
/// Flow control follows its reader: what it has not polled, the server has to hold back beyond
/// [`Http2Config::stream_window`](crate::Http2Config::stream_window). Dropping it before its end
/// resets the stream with CANCEL and drops what is left of the request's body.
///
/// A request's body that has not ended when the response begins goes on by itself, whether this
/// body is polled or not. Its failure fails this body.
pub struct ResponseBody {
    live: Option<Live>,
}

/// Kept until the end: then nothing of the call holds the connection any more.
struct Live {
    pump: Option<PumpTask>,
    stream: RecvStream,
    /// Polled out, but not yet given back to flow control.
    unreleased: usize,
    seen: Seen,
    /// The last: the stream has ended before it is no longer counted.
    open: OpenStream,
}

/// How far a body has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Head,
    /// One frame of data: if the call is unary, the trailers are next.
    One,
    More,
}

/// The rest of a request's body on its way; ends when dropped.
pub(super) struct PumpTask(pub(super) JoinHandle<Result<(), Status>>);

impl Drop for PumpTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Given back at once when a reader is this far ahead; less waits until the reader has to wait,
/// and for most unary responses never happens: the end of the stream gives back the rest.
const RELEASE: usize = 32 << 10;

impl ResponseBody {
    pub(super) const fn new(stream: RecvStream, pump: Option<PumpTask>, open: OpenStream) -> Self {
        Self {
            live: Some(Live {
                pump,
                stream,
                unreleased: 0,
                seen: Seen::Head,
                open,
            }),
        }
    }

    pub(super) const fn ended() -> Self {
        Self { live: None }
    }
}

impl Live {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(ended) = Pin::new(&mut pump.0).poll(cx)
        {
            self.pump = None;
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(status)) => return Poll::Ready(Some(Err(status))),
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                // The runtime is going down, and the connection with it.
                Err(_) => {}
            }
        }
        // Asked for data, h2 takes the trailers out of its queue and puts them back.
        if self.seen == Seen::One
            && let Poll::Ready(trailers) = self.poll_trailers(cx)
        {
            return Poll::Ready(trailers);
        }
        loop {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                Poll::Ready(Some(Ok(data))) => {
                    self.seen = match self.seen {
                        Seen::Head => Seen::One,
                        Seen::One | Seen::More => Seen::More,
                    };
                    self.unreleased += data.len();
                    if self.unreleased >= RELEASE {
                        self.release();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(error))) => return self.failed(&error),
                Poll::Ready(None) => break,
                Poll::Pending => {
                    self.release();
                    return Poll::Pending;
                }
            }
        }
        self.poll_trailers(cx)
    }

    /// Pending too while there is data before the trailers.
    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|mut trailers| {
                clean_status_details(&mut trailers);
                Ok(Frame::trailers(trailers))
            })),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &h2::Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(Some(Err(after_head(error, &self.open.link))))
    }

    fn release(&mut self) {
        if self.unreleased > 0 {
            // Fails only for more than was received.
            let _ = self
                .stream
                .flow_control()
                .release_capacity(std::mem::take(&mut self.unreleased));
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(live) = &mut self.live else {
            return Poll::Ready(None);
        };
        let frame = ready!(live.poll_frame(cx));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            self.live = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.live.is_none()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("ended", &self.live.is_none())
            .finish_non_exhaustive()
    }
}

/// Takes out status details that are not base64: tonic's stubs panic on them.
pub(super) fn clean_status_details(headers: &mut HeaderMap) {
    const DETAILS: &str = "grpc-status-details-bin";
    // Compared one by one: there are few, and looking one up costs more.
    if !headers.keys().any(|name| name == DETAILS) {
        return;
    }
    let metadata = MetadataMap::from_headers(std::mem::take(headers));
    let details = metadata.get_bin(DETAILS);
    let broken = details.is_some_and(|details| details.to_bytes().is_err());
    *headers = metadata.into_headers();
    if broken {
        headers.remove(DETAILS);
    }
}
