mod state;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_core::error::{BoxError, into_status};
use http::HeaderMap;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tonic::Status;

use self::state::{End, Position, State};
use super::Lease;
use super::waiting::Waiting;
use crate::limits::RequestLimit;

/// A body that several attempts read, one after the other or at once.
pub(in crate::retry) struct Replay<B> {
    state: Mutex<State<B>>,
    waiting: Arc<Waiting>,
    /// Wakes every waiting reader.
    waker: Waker,
}

/// The next step of a reader.
pub(super) enum Step<B> {
    Frame(Option<Result<Frame<Bytes>, Status>>),
    Wait,
    /// Everything that was kept is read, and the rest is this reader's alone.
    Own(B, Option<Box<RequestLimit>>),
}

impl<B> Replay<B> {
    /// The rest of a body whose first `frames` (and `trailers`) were read.
    pub(in crate::retry) fn new(
        source: B,
        frames: Vec<Bytes>,
        trailers: Option<HeaderMap>,
        limited: Option<Box<RequestLimit>>,
        limit: usize,
        lease: Lease,
    ) -> Arc<Self> {
        let waiting = Arc::new(Waiting::default());
        let ended = trailers.is_some();
        let buffered = frames.iter().map(Bytes::len).sum();
        let mut state = State {
            source: (!ended).then_some(source),
            end: trailers.map(End::Trailers),
            frames: frames.into(),
            gone: 0,
            buffered,
            limit,
            lease,
            readers: Vec::new(),
            limited,
            owner: None,
            call: None,
            last_reader: 0,
        };
        if buffered > limit || !state.lease.resize(buffered) {
            // The first reader will get it, and no other.
            state.owner = Some(1);
        }
        Arc::new(Self {
            state: Mutex::new(state),
            waker: Arc::clone(&waiting).into(),
            waiting,
        })
    }

    /// Leaves the body to `reader` alone and forgets what it has read. The first call decides.
    pub(in crate::retry) fn commit(&self, reader: u32) {
        {
            let mut state = self.state.lock();
            if state.owner.is_some() {
                return;
            }
            state.own(reader);
        }
        // The others learn that they have lost.
        self.waiting.wake_all();
    }

    /// Whether no further reader can be served.
    pub(in crate::retry) fn is_committed(&self) -> bool {
        self.owner().is_some()
    }

    /// The only reader that can still be served.
    pub(in crate::retry) fn owner(&self) -> Option<u32> {
        self.state.lock().owner
    }

    /// The same; if there is none, the call is woken when there is one.
    pub(in crate::retry) fn poll_owner(&self, cx: &Context<'_>) -> Option<u32> {
        let mut state = self.state.lock();
        if state.owner.is_none() {
            match &mut state.call {
                Some(call) => call.clone_from(cx.waker()),
                call @ None => *call = Some(cx.waker().clone()),
            }
        }
        state.owner
    }

    /// Whether the caller's body has failed, or must not be sent: it would be the same again.
    pub(in crate::retry) fn has_failed(&self) -> bool {
        matches!(self.state.lock().end, Some(End::Failed(_) | End::Withheld))
    }

    /// The reader that was made last.
    pub(in crate::retry) fn last_reader(&self) -> u32 {
        self.state.lock().last_reader
    }

    /// A reader that has read nothing yet.
    pub(super) fn add_reader(&self) -> u32 {
        let mut state = self.state.lock();
        state.last_reader += 1;
        let reader = state.last_reader;
        state.readers.push(Position { reader, next: 0 });
        reader
    }

    pub(super) fn remove_reader(&self, reader: u32) {
        let mut state = self.state.lock();
        state.readers.retain(|position| position.reader != reader);
    }

    /// `reader` gets nothing any more: its attempt is over, whoever may still hold its body.
    pub(in crate::retry) fn retire(&self, reader: u32) {
        self.remove_reader(reader);
        self.waiting.wake_all();
    }

    /// Whether `reader` has read everything, and the body has ended well.
    pub(super) fn is_at_end(&self, reader: u32) -> bool {
        let mut state = self.state.lock();
        let last = state.gone + state.frames.len();
        let next = state.position(reader).map_or(0, |position| position.next);
        match state.end {
            None | Some(End::Failed(_) | End::Withheld) => false,
            Some(End::Data) => next >= last,
            Some(End::Trailers(_)) => next > last,
        }
    }
}

/// What a reader gets that has lost, or whose attempt is over.
fn lost<B>() -> Step<B> {
    let lost = Status::cancelled("another attempt of this call was committed");
    Step::Frame(Some(Err(lost)))
}

impl<B> Replay<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Tells the call, and all readers, who the owner is.
    fn tell(&self, call: Option<Waker>) {
        if let Some(call) = call {
            call.wake();
        }
        self.waiting.wake_all();
    }

    pub(super) fn step(&self, reader: u32, cx: &mut Context<'_>) -> Step<B> {
        let mut state = self.state.lock();
        let place = state.position(reader).map(|position| position.next);
        let Some(next) = place.filter(|_| state.owner.is_none_or(|owner| owner == reader)) else {
            return lost();
        };
        if let Some(frame) = state.frames.get(next - state.gone) {
            let frame = Frame::data(frame.clone());
            state.advance(reader);
            return Step::Frame(Some(Ok(frame)));
        }
        if let Some(end) = &state.end {
            let at_end = next == state.gone + state.frames.len();
            let frame = match end {
                End::Trailers(trailers) if at_end => Some(Ok(Frame::trailers(trailers.clone()))),
                End::Withheld if at_end => return Step::Wait,
                End::Failed(status) if at_end => Some(Err(status.clone())),
                _ => None,
            };
            state.advance(reader);
            return Step::Frame(frame);
        }
        if state.owner == Some(reader)
            && let Some(source) = state.source.take()
        {
            return Step::Own(source, state.limited.take());
        }

        let Some(source) = &mut state.source else {
            return Step::Frame(None);
        };
        self.waiting.register(reader, cx.waker());
        let mut shared = Context::from_waker(&self.waker);
        let Poll::Ready(frame) = Pin::new(source).poll_frame(&mut shared) else {
            return Step::Wait;
        };
        let (mut finished, mut call) = (None, None);
        let frame = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    if !state.admits(&data) {
                        state.end = Some(End::Withheld);
                        finished = state.source.take();
                        drop(state);
                        drop(finished);
                        return Step::Wait;
                    }
                    if !state.keep(data.clone()) {
                        let furthest = state.furthest();
                        state.own(furthest);
                        call = state.call.take();
                        if furthest != reader {
                            state.hold(data);
                            drop(state);
                            self.tell(call);
                            return lost();
                        }
                        // Past the end of everything kept, so all of that can go.
                        state.gone += 1;
                    }
                    Some(Ok(Frame::data(data)))
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    state.end = Some(End::Trailers(trailers.clone()));
                    finished = state.source.take();
                    Some(Ok(Frame::trailers(trailers)))
                }
            },
            Some(Err(error)) => {
                let status = into_status(error.into());
                state.end = Some(End::Failed(status.clone()));
                finished = state.source.take();
                Some(Err(status))
            }
            None => {
                state.end = Some(End::Data);
                finished = state.source.take();
                None
            }
        };
        state.advance(reader);
        drop(state);
        // The caller's own code, and whoever waits, run without the lock.
        drop(finished);
        if call.is_some() {
            self.tell(call);
        }
        self.waiting.wake_others(reader);
        Step::Frame(frame)
    }
}
