//! One HTTP/2 connection to one endpoint.

mod connect;

pub use connect::{CloseReason, Connect, ConnectError, Connected, Connection, RequestBody};
