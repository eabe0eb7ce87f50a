//! HTTP/2 for gRPC on the `h2` crate.
//!
//! One task per connection, the [`driver`], reads and writes frames. A call needs no other task:
//! its [`ResponseFuture`], and then its [`ResponseBody`], poll its own stream, and the request's
//! body is pumped in between. Only a body that outlives the head of the response (a bidirectional
//! call) goes on in a task, which its response body owns: else a caller who writes before it reads
//! would wait for itself.
//!
//! # How failures leave
//!
//! | seen | progress | code |
//! |---|---|---|
//! | the connection took no new streams when the call came | `NotSent`, with the request | UNAVAILABLE |
//! | connection lost before the HEADERS reached the socket | `NotSent` | UNAVAILABLE |
//! | GOAWAY with a lower last stream id; RST_STREAM REFUSED_STREAM | `Refused` | UNAVAILABLE |
//! | connection lost, keepalive timeout | `Sent` | UNAVAILABLE |
//! | RST_STREAM CANCEL | `Sent` | CANCELLED |
//! | RST_STREAM ENHANCE_YOUR_CALM | `Sent` | RESOURCE_EXHAUSTED |
//! | RST_STREAM INADEQUATE_SECURITY | `Sent` | PERMISSION_DENIED |
//! | any other RST_STREAM, or a stream that breaks HTTP/2 | `Sent` | INTERNAL |
//! | the request's body failed | `Sent` | the body's own |
//! | the request's head is none of HTTP/2 (a `te` that is not `trailers`) | `Sent`, so as not to be repeated | INTERNAL |
//!
//! Only a request that was never given to `h2` comes back with its error: then its head and its
//! body are whole. `h2` looks at the connection's state before it is given one, but then it keeps
//! what it has. So two kinds of calls are `NotSent` without their request: those that `h2` holds
//! back while the peer's MAX_CONCURRENT_STREAMS is used up (a busy connection can lose many at
//! once), and the few whose HEADERS are queued, but not written, when the connection ends. The
//! retry layer sends these again from its copy; without one, they fail UNAVAILABLE.

mod body;
mod config;
mod connection;
mod driver;
mod future;
mod handshake;
mod head;
mod keepalive;
mod limit;
mod link;
mod pace;
mod pump;
mod status;
mod streams;
mod wire;

pub use body::ResponseBody;
pub use config::Http2Config;
pub use connection::Http2Connection;
pub use future::ResponseFuture;
pub use status::StreamReset;

pub(crate) use handshake::{HandshakeError, handshake};
pub(crate) use head::{Head, USER_AGENT_TEXT};
pub(crate) use pace::Pace;
