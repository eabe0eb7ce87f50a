//! Request bodies that do what a test says.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::Progress;
use evenkeel_core::error::{AttemptError, cause};
use http::Request;
use http_body::{Body, Frame};
use http_body_util::Full;
use tonic::Status;

/// A request with one frame.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request(Full::new(body.into()))
}

/// A request with this body.
pub(crate) fn request<B>(body: B) -> Request<B> {
    Request::post("/test/Call").body(body).unwrap()
}

/// How far a failed call got.
#[track_caller]
pub(crate) fn progress(status: &Status) -> Progress {
    let error = cause::<AttemptError>(status);
    error
        .expect("every local error says how far it got")
        .progress()
}

/// A body of equal frames, without an end, that counts what is taken out of it.
pub(crate) struct Endless {
    frame: Bytes,
    watch: Arc<Watch>,
}

/// A body that has no frame and no end.
pub(crate) struct Silent {
    watch: Arc<Watch>,
}

/// What became of a body.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    taken: AtomicUsize,
    dropped: AtomicBool,
    stop: AtomicBool,
}

impl Watch {
    pub(crate) fn bytes_taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Ends an [`Endless`] body after the present frame.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Endless {
    pub(crate) fn new(frame: usize) -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        let body = Self {
            frame: Bytes::from(vec![7; frame]),
            watch: watch.clone(),
        };
        (body, watch)
    }
}

impl Silent {
    pub(crate) fn new() -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        let body = Self {
            watch: watch.clone(),
        };
        (body, watch)
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.watch.stop.load(Ordering::SeqCst) {
            return Poll::Ready(None);
        }
        let taken = &self.watch.taken;
        taken.fetch_add(self.frame.len(), Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(self.frame.clone()))))
    }
}

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.watch.dropped.store(true, Ordering::SeqCst);
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.watch.dropped.store(true, Ordering::SeqCst);
    }
}
