use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use tonic::Status;

use crate::limits::RequestLimit;
use crate::retry::replay::Lease;

pub(super) struct State<B> {
    /// `None` when it has ended, or when its owner reads it directly.
    pub(super) source: Option<B>,
    pub(super) end: Option<End>,
    /// What was read of the source and may still be asked for.
    pub(super) frames: VecDeque<Bytes>,
    /// The number of frames before those.
    pub(super) gone: usize,
    pub(super) buffered: usize,
    pub(super) limit: usize,
    pub(super) lease: Lease,
    pub(super) readers: Vec<Position>,
    /// Looks at what is read of the source.
    pub(super) limited: Option<Box<RequestLimit>>,
    /// The only reader there may be from now on.
    pub(super) owner: Option<u32>,
    /// Whom that concerns, too: the call, whose other attempts have lost.
    pub(super) call: Option<Waker>,
    pub(super) last_reader: u32,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Data,
    Trailers(HeaderMap),
    Failed(Status),
    /// A message was too long to be sent. Nothing comes any more, not even an end: the call knows,
    /// and drops its attempts.
    Withheld,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) reader: u32,
    /// The number of frames it has read.
    pub(super) next: usize,
}

impl<B> State<B> {
    pub(super) fn own(&mut self, reader: u32) {
        self.owner = Some(reader);
        let read = self.position(reader).map_or(0, |position| position.next);
        self.forget_before(read);
    }

    pub(super) fn position(&mut self, reader: u32) -> Option<&mut Position> {
        self.readers.iter_mut().find(|it| it.reader == reader)
    }

    pub(super) fn forget_before(&mut self, next: usize) {
        while self.gone < next
            && let Some(frame) = self.frames.pop_front()
        {
            self.gone += 1;
            self.buffered -= frame.len();
        }
        self.lease.resize(self.buffered);
    }

    pub(super) fn advance(&mut self, reader: u32) {
        if let Some(position) = self.position(reader) {
            position.next += 1;
        }
        if self.owner == Some(reader) {
            let next = self.position(reader).map_or(0, |position| position.next);
            self.forget_before(next);
        }
    }

    pub(super) fn admits(&mut self, data: &[u8]) -> bool {
        let mut limited = self.limited.as_mut();
        limited.as_mut().is_none_or(|limited| limited.admits(data))
    }

    /// The reader that has read most, and of several the newest: the older ones have had more time,
    /// and no answer.
    pub(super) fn furthest(&self) -> u32 {
        let readers = self.readers.iter();
        let furthest = readers.max_by_key(|position| (position.next, position.reader));
        furthest.map_or(self.last_reader, |position| position.reader)
    }

    /// Keeps what the source gave for the owner, however much is kept.
    pub(super) fn hold(&mut self, data: Bytes) {
        self.buffered += data.len();
        self.frames.push_back(data);
    }

    /// Takes what the source gave; `false` when it is more than may be kept.
    pub(super) fn keep(&mut self, data: Bytes) -> bool {
        let buffered = self.buffered.saturating_add(data.len());
        if buffered > self.limit || !self.lease.resize(buffered) {
            return false;
        }
        self.buffered = buffered;
        self.frames.push_back(data);
        true
    }
}
