use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::HeaderMap;
use http_body::Body;
use tonic::Status;

/// What a body gave without waiting.
#[derive(Debug)]
pub(in crate::retry) enum Upfront {
    /// All of it.
    Complete(Option<Bytes>),
    /// Its beginning, and its trailers if those have come.
    Partial(Vec<Bytes>, Option<HeaderMap>),
}

/// Reads `body` as far as two frames and as it does not wait.
///
/// tonic's body of a unary request gives one frame and its end with the next poll; it never says
/// before that it has ended. Nobody needs to be woken: a body that waits is polled again, with
/// the waker of whoever sends it.
pub(in crate::retry) fn read_upfront<B>(body: &mut B) -> Result<Upfront, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = None;
    loop {
        let frame = match Pin::new(&mut *body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Err(into_status(error.into())),
            Poll::Ready(None) => return Ok(Upfront::Complete(first)),
            Poll::Pending => return Ok(Upfront::Partial(first.into_iter().collect(), None)),
        };
        match (frame.into_data(), first.take()) {
            (Ok(data), None) => first = Some(data),
            (Ok(data), Some(first)) => return Ok(Upfront::Partial(vec![first, data], None)),
            (Err(frame), first) => {
                // What is neither data nor trailers, this version of HTTP does not know.
                let trailers = frame.into_trailers().unwrap_or_default();
                let frames = first.into_iter().collect();
                return Ok(Upfront::Partial(frames, Some(trailers)));
            }
        }
    }
}
