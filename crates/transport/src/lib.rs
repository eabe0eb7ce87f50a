//! One HTTP/2 connection to one endpoint.
//!
//! - the seam to the balancer: [`Connect`] dials, [`Connected`] says when the connection takes no
//!   new calls, [`Connection`] sends one request;
//! - the default on its two sides: [`Connector`] (TCP, Unix sockets, TLS, or any IO of the user's)
//!   and [`Http2Connection`];
//! - [`race`]: several addresses at once, with a head start.
//!
//! # Features
//!
//! `tls` (default): TLS by rustls with ring. `webpki-roots`: Mozilla's root certificates.
//!
//! # Not here
//!
//! Backoff, connect timeouts, the order of an endpoint's addresses, connectivity states:
//! `evenkeel-balance`.

mod connect;
mod connector;
mod http2;

pub use connect::{
    CloseReason, Connect, ConnectError, ConnectStep, Connected, Connection, ErrorCode, RequestBody,
};
pub use connector::{Connecting, Connector, race};
#[cfg(feature = "tls")]
pub use connector::{Tls, TlsError};
pub use http2::{Http2Config, Http2Connection, ResponseBody, ResponseFuture, StreamReset};
