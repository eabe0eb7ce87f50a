use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;

/// How a connection speaks HTTP/2. Plain data; a value outside its bounds counts as the nearest
/// one inside.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_transport::Http2Config;
///
/// let mut http2 = Http2Config::default();
/// http2.keepalive_time = Some(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http2Config {
    /// Bytes of one response that the server may send ahead of its reader.
    /// Default 2 MiB; from 16 KiB to 2³¹ − 1.
    pub stream_window: u32,
    /// Bytes of all responses together that the server may send ahead of their readers.
    /// Default 5 MiB; from 65 535 to 2³¹ − 1.
    /// Streams that are not read keep their part of it: as many as fill it hold up all others of the
    /// connection. Larger than streams at a time times [`Self::stream_window`], it never does.
    pub connection_window: u32,
    /// The largest frame the server may send, in bytes. Default 16 KiB; from 16 KiB to 16 MiB − 1.
    pub max_frame_size: u32,
    /// The largest block of headers or trailers the server may send, in bytes once decoded.
    /// Default 16 KiB; at least 4 KiB.
    pub max_header_list_size: u32,
    /// Bytes of one request that may wait in the connection's send buffer.
    /// Default 400 KiB; from 16 KiB to 2³¹ − 1.
    pub send_buffer: usize,
    /// After this long without a byte from the server, it is asked for a sign of life (a PING).
    /// gRPC's `keepalive_time`. Default `None`: never, as is more than 30 years; at least 10 ms.
    ///
    /// Servers close connections that ask too often (GOAWAY ENHANCE_YOUR_CALM "too_many_pings");
    /// gRPC servers accept one per 5 minutes unless they are told otherwise. After such a GOAWAY,
    /// the later connections of the same connector wait twice as long, and a warning says so
    /// (gRFC A8). Unlike the other gRPC libraries, this one does not raise a time under 10 s to
    /// 10 s; it only warns, once for each [`Connector::with_http2`](crate::Connector::with_http2).
    pub keepalive_time: Option<Duration>,
    /// How long the sign of life may take before the connection is given up and its calls fail
    /// UNAVAILABLE. gRPC's `keepalive_timeout`. Default 20 s; from 10 ms to 30 years.
    pub keepalive_timeout: Duration,
    /// Whether a connection without calls is asked as well. gRPC's
    /// `keepalive_permit_without_calls`. Default `false`.
    pub keepalive_permit_without_calls: bool,
}

impl Default for Http2Config {
    fn default() -> Self {
        Self {
            stream_window: 2 << 20,
            connection_window: 5 << 20,
            max_frame_size: 16 << 10,
            max_header_list_size: 16 << 10,
            send_buffer: 400 << 10,
            keepalive_time: None,
            keepalive_timeout: Duration::from_secs(20),
            keepalive_permit_without_calls: false,
        }
    }
}

impl Http2Config {
    const MAX_WINDOW: u32 = (1 << 31) - 1;
    const MIN_KEEPALIVE: Duration = Duration::from_millis(10);
    /// An instant plus this exists on every platform.
    pub(super) const MAX_KEEPALIVE: Duration = Duration::from_secs(30 * 365 * 86_400);

    /// gRFC A8.
    const LEAST_OF_GRPC: Duration = Duration::from_secs(10);

    /// What `max_concurrent_send_streams` says until the server's SETTINGS have arrived: no
    /// setting makes it this value, which is neither a `u32` nor the "no limit" of `h2`.
    pub(super) const NO_SETTINGS: usize = usize::MAX - 1;

    pub(super) fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        let connection_window = self.connection_window.clamp(65_535, Self::MAX_WINDOW);
        builder
            .enable_push(false)
            .initial_max_send_streams(Self::NO_SETTINGS)
            .initial_window_size(self.stream_window.clamp(16 << 10, Self::MAX_WINDOW))
            .initial_connection_window_size(connection_window)
            .max_frame_size(self.max_frame_size.clamp(16_384, (1 << 24) - 1))
            .max_header_list_size(self.max_header_list_size.max(4 << 10))
            .max_send_buffer_size(self.send_buffer.clamp(16 << 10, Self::MAX_WINDOW as usize))
            // Small frames that nobody reads cost more than flow control sees, so h2 closes the
            // connection at half a window of such overhead: 10 000 unread messages of one slow
            // stream would end every other call. The windows bound the frames as well; let them.
            .data_frame_budget((connection_window as usize).saturating_mul(128))
            // Guards a server against clients. Here it would close a connection after 1024 calls
            // that were given up while their answers were on the way.
            .max_local_error_reset_streams(None);
        builder
    }

    /// Says that keepalive is set to more than gRPC allows.
    pub(crate) fn warn_of_fast_keepalive(&self) {
        if let Some(time) = self.keepalive_time
            && time < Self::LEAST_OF_GRPC
        {
            tracing::warn!(
                keepalive_time = ?time,
                "keepalive_time is under gRPC's minimum of 10 s: servers may close connections for it"
            );
        }
    }

    /// Time and timeout of keepalive; `None` when it is off.
    pub(super) fn keepalive(&self) -> Option<(Duration, Duration)> {
        let time = self.keepalive_time?.max(Self::MIN_KEEPALIVE);
        let timeout = self.keepalive_timeout;
        let timeout = timeout.clamp(Self::MIN_KEEPALIVE, Self::MAX_KEEPALIVE);
        (time <= Self::MAX_KEEPALIVE).then_some((time, timeout))
    }
}

/// What requests are made of on the wire.
pub(super) type SendRequest = h2::client::SendRequest<Bytes>;
