use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection takes no new calls.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer said so; running streams go on.
    #[error("the peer sent GOAWAY {code}{}", fmt_debug(.debug))]
    GoAway {
        /// Its error code, `NO_ERROR` for a graceful end.
        code: ErrorCode,
        /// What it added for humans; often empty.
        debug: String,
    },
    /// A keepalive PING was not answered in time.
    #[error("keepalive timeout: the peer has been silent for {0:?} after a PING")]
    KeepaliveTimeout(Duration),
    /// Reading or writing failed.
    #[error("connection lost")]
    Io(#[source] Arc<io::Error>),
    /// The peer broke HTTP/2, so that this side closed the connection.
    #[error("HTTP/2 protocol violation by the peer, connection closed with {0}")]
    Protocol(ErrorCode),
    /// The peer closed the connection without a GOAWAY.
    #[error("connection closed by the peer")]
    ClosedByPeer,
    /// This side has no more use for the connection.
    #[error("connection closed by this side")]
    ClosedByUs,
    /// Every stream id of the connection has been used.
    #[error("the connection has no stream ids left")]
    Exhausted,
}

fn fmt_debug(debug: &str) -> String {
    if debug.is_empty() {
        String::new()
    } else {
        format!(" ({debug})")
    }
}

impl CloseReason {
    /// The value of `grpc.disconnect_error` (gRFC A94).
    #[must_use]
    pub fn disconnect_error(&self) -> Cow<'static, str> {
        match self {
            Self::GoAway { code, .. } => return format!("GOAWAY {code}").into(),
            Self::KeepaliveTimeout(_) => "connection timed out",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionReset => "connection reset",
                io::ErrorKind::ConnectionAborted => "connection aborted",
                io::ErrorKind::TimedOut => "connection timed out",
                _ => "socket error",
            },
            Self::ClosedByUs => "subchannel shutdown",
            Self::Protocol(_) | Self::ClosedByPeer | Self::Exhausted => "unknown",
        }
        .into()
    }
}

/// An HTTP/2 error code; displayed by its name in RFC 9113, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a newtype")]
pub struct ErrorCode(pub u32);

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.pad(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl ErrorCode {
    /// `h2` stays out of the public API, so this is no `From`.
    pub(crate) fn of(reason: Option<h2::Reason>) -> Self {
        Self(reason.unwrap_or(h2::Reason::INTERNAL_ERROR).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a94_names_the_code_or_the_kind_of_error() {
        let calm = CloseReason::GoAway {
            code: ErrorCode(11),
            debug: "too_many_pings".into(),
        };
        assert_eq!(calm.disconnect_error(), "GOAWAY ENHANCE_YOUR_CALM");
        assert_eq!(
            calm.to_string(),
            "the peer sent GOAWAY ENHANCE_YOUR_CALM (too_many_pings)"
        );
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let reset = CloseReason::Io(Arc::new(reset));
        assert_eq!(reset.disconnect_error(), "connection reset");
        assert_eq!(
            CloseReason::KeepaliveTimeout(Duration::from_secs(20)).disconnect_error(),
            "connection timed out"
        );
        assert_eq!(
            CloseReason::ClosedByUs.disconnect_error(),
            "subchannel shutdown"
        );
    }

    #[test]
    fn an_unknown_code_is_a_number() {
        assert_eq!(ErrorCode(0xff).to_string(), "0xff");
        assert_eq!(ErrorCode(7).to_string(), "REFUSED_STREAM");
    }
}
