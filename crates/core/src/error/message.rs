use std::fmt;

use tonic::{Code, Status};

use super::status;

/// A message is longer than may be sent, or received: RESOURCE_EXHAUSTED. A message that is too long
/// to be sent was not sent, not even in part.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a {kind} message of {path} has {length} bytes; {limit} are allowed")]
#[non_exhaustive]
pub struct MessageTooLarge {
    /// `/package.Service/Method`.
    pub path: String,
    /// Which way it goes.
    pub kind: MessageKind,
    /// How long it is, in bytes on the wire: of a compressed message the compressed ones.
    pub length: u32,
    /// How long it may be.
    pub limit: u32,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum MessageKind {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

impl MessageTooLarge {
    /// A message of a call to `path` has `length` bytes, more than `limit`.
    #[must_use]
    pub fn new(path: impl Into<String>, kind: MessageKind, length: u32, limit: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            length,
            limit,
        }
    }
}

impl From<MessageTooLarge> for Status {
    fn from(error: MessageTooLarge) -> Self {
        status(Code::ResourceExhausted, error)
    }
}
