use evenkeel_bench_harness::Shape;
use evenkeel_bench_stub::pb::{GetByIdResponse, ListUsersResponse};
use prost::Message;

use super::frame::MAX_PAYLOAD;
use crate::answer;

/// What every answer is made of, prepared once.
#[derive(Debug)]
pub struct Frames {
    /// All messages with their prefixes.
    pub(super) body: Vec<u8>,
    /// Where the DATA frames end in it: each message has its own, as servers send them that do
    /// not wait for more.
    pub(super) ends: Vec<usize>,
}

impl Frames {
    /// Those of every answer of this shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let user = Some(answer::user(shape));
        let (message, count) = match shape {
            Shape::Unary | Shape::Unary16k => (GetByIdResponse { user }.encode_to_vec(), 1),
            Shape::Stream => (ListUsersResponse { user }.encode_to_vec(), Shape::MESSAGES),
        };
        let length = u32::try_from(message.len()).expect("messages are small");
        let message = [&[0][..], &length.to_be_bytes(), &message].concat();
        let (mut ends, mut end) = (Vec::new(), 0);
        for _ in 0..count {
            for piece in message.chunks(MAX_PAYLOAD) {
                end += piece.len();
                ends.push(end);
            }
        }
        Self {
            body: message.repeat(count),
            ends,
        }
    }
}

/// What the client's header table holds of ours, and so what headers and trailers look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Table {
    #[default]
    Empty,
    ContentType,
    Both,
}

impl Table {
    /// `:status: 200` and `content-type: application/grpc`.
    pub(super) fn headers(&mut self) -> &'static [u8] {
        match self {
            Self::Empty => {
                *self = Self::ContentType;
                b"\x88\x5f\x10application/grpc"
            }
            Self::ContentType => b"\x88\xbe",
            Self::Both => b"\x88\xbf",
        }
    }

    /// `grpc-status: 0`. Headers have been sent before.
    pub(super) fn trailers(&mut self) -> &'static [u8] {
        if *self == Self::Both {
            return b"\xbe";
        }
        *self = Self::Both;
        b"\x40\x0bgrpc-status\x010"
    }
}
