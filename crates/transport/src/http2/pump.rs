use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use tonic::Status;

use super::head::clean_trailers;
use super::status::of_request_body;
use crate::RequestBody;

/// Moves one request's body into its stream.
///
/// One frame is held back until the next is known, so that the last one carries END_STREAM. The
/// first [`EAGER`] bytes go without asking; after that, only what the windows have room for leaves
/// the body, so that a slow peer slows the body down.
#[derive(Debug)]
pub(super) struct Pump<B> {
    body: B,
    stream: SendStream<Bytes>,
    /// Must be handed over before the body is polled again.
    out: Bytes,
    /// Perhaps the last frame.
    held: Option<Bytes>,
    end: Option<End>,
    eager: usize,
}

#[derive(Debug)]
enum End {
    Data,
    Trailers(HeaderMap),
}

/// The stream takes no more data. The response says why, if it matters.
struct Gone;

/// What one stream may queue before it has send capacity (which it gets only once the connection
/// has written its head): enough for nearly all unary requests, and within HTTP/2's smallest
/// default window.
const EAGER: usize = 64 << 10;

/// How much capacity to ask for at a time: so streams with large messages take turns.
const PIECE: usize = 256 << 10;

impl<B: RequestBody> Pump<B> {
    pub(super) const fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self {
            body,
            stream,
            out: Bytes::new(),
            held: None,
            end: None,
            eager: EAGER,
        }
    }

    /// Ready when the stream has all of the body, or takes no more of it.
    ///
    /// # Errors
    ///
    /// The body's own, after the stream was reset.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match self.poll_body(cx) {
            Poll::Ready(Ok(Ok(()) | Err(Gone))) => Poll::Ready(Ok(())),
            Poll::Ready(Err(status)) => Poll::Ready(Err(status)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Result<(), Gone>, Status>> {
        loop {
            if !self.out.is_empty()
                && let Err(gone) = ready!(self.poll_hand_over(cx, false))
            {
                return Poll::Ready(Ok(Err(gone)));
            }
            if self.end.is_some() {
                return self.poll_finish(cx).map(Ok);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.out = self.held.replace(data).unwrap_or_default(),
                    Err(frame) => {
                        if let Ok(mut trailers) = frame.into_trailers() {
                            clean_trailers(&mut trailers);
                            self.end = Some(End::Trailers(trailers));
                            self.out = self.held.take().unwrap_or_default();
                        }
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(of_request_body(error.into())));
                }
                Poll::Ready(None) => self.end = Some(End::Data),
                Poll::Pending => {
                    // Nobody knows when the next frame comes: this one must not wait for it.
                    if let Some(held) = self.held.take() {
                        self.out = held;
                        if let Err(gone) = ready!(self.poll_hand_over(cx, false)) {
                            return Poll::Ready(Ok(Err(gone)));
                        }
                    }
                    return self.stream.poll_reset(cx).map(|_| Ok(Err(Gone)));
                }
            }
        }
    }

    /// Hands over the last frame with END_STREAM, or the trailers.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if let Some(End::Trailers(trailers)) = &mut self.end {
            let trailers = mem::take(trailers);
            let sent = self.stream.send_trailers(trailers);
            return Poll::Ready(sent.map_err(|_| Gone));
        }
        self.out = self.held.take().unwrap_or_default();
        let handed_over = self.poll_hand_over(cx, true);
        if handed_over.is_pending() {
            self.held = Some(mem::take(&mut self.out));
        }
        handed_over
    }

    /// Gives `out` to the stream, as far as it has room.
    fn poll_hand_over(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<Result<(), Gone>> {
        if self.out.len() <= self.eager {
            self.eager -= self.out.len();
            let sent = self.stream.send_data(mem::take(&mut self.out), last);
            return Poll::Ready(sent.map_err(|_| Gone));
        }
        while !self.out.is_empty() {
            let room = match ready!(poll_room(&mut self.stream, self.out.len().min(PIECE), cx)) {
                Some(room) => room.min(self.out.len()),
                None => return Poll::Ready(Err(Gone)),
            };
            let piece = self.out.split_to(room);
            let last = last && self.out.is_empty();
            if self.stream.send_data(piece, last).is_err() {
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The server has answered in full and wants no more of the body.
    pub(super) fn stop(&mut self) {
        self.stream.send_reset(Reason::NO_ERROR);
    }
}

/// Room for up to `wanted` bytes; `None` when the stream takes no more data.
fn poll_room(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<usize>> {
    stream.reserve_capacity(wanted);
    loop {
        match stream.capacity() {
            0 => {}
            room => return Poll::Ready(Some(room)),
        }
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(None),
        }
    }
}
