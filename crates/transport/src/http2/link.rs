use std::sync::{Arc, OnceLock};

use super::limit::Limit;
use super::wire::Wire;
use crate::{CloseReason, ErrorCode};

/// What a connection's task and its calls know of it together.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) wire: Wire,
    pub(super) limit: Limit,
    lost: OnceLock<CloseReason>,
}

impl Link {
    /// The connection has ended; the first reason stays.
    pub(super) fn lose(&self, reason: CloseReason) {
        // A second reason is a consequence of the first.
        let _ = self.lost.set(reason);
    }

    /// Why the connection is closing, as far as `error` and the connection's end tell.
    pub(super) fn reason(&self, error: &h2::Error) -> CloseReason {
        match self.lost.get() {
            Some(reason) => reason.clone(),
            None => self.reason_of(error),
        }
    }

    /// What `error`, an error of the connection, says by itself.
    pub(super) fn reason_of(&self, error: &h2::Error) -> CloseReason {
        let code = ErrorCode::of(error.reason());
        if error.is_go_away() && error.is_remote() {
            let debug = debug_text(error);
            CloseReason::GoAway { code, debug }
        } else if error.is_go_away() {
            CloseReason::Protocol(code)
        } else if let Some(io) = error.get_io() {
            if self.wire.is_eof() {
                CloseReason::ClosedByPeer
            } else {
                let io = std::io::Error::new(io.kind(), io.to_string());
                CloseReason::Io(Arc::new(io))
            }
        } else {
            // The only other error of a connection: a request would need an id above 2³¹.
            CloseReason::Exhausted
        }
    }
}

/// The debug data of a GOAWAY, which `h2` gives only as the end of its text: `… (b"too_many_pings")`.
fn debug_text(error: &h2::Error) -> String {
    let text = error.to_string();
    let debug = text
        .split_once(" (b\"")
        .and_then(|(_, rest)| rest.strip_suffix("\")"));
    debug.unwrap_or_default().to_owned()
}
