//! The balancer: tower layers that turn a `Discover` stream of endpoints into one service.
//!
//! ```text
//! Discover<Endpoint> ─ConnectLayer─► Discover<Subchannel> ─EndpointLayer─► Discover<L<Subchannel>> ─BalanceLayer─► Balance
//! ```
//!
//! [`ConnectLayer`] makes one [`Subchannel`] per endpoint, [`EndpointLayer`] puts your tower layers
//! around each, and [`BalanceLayer`] runs the LB policy of the service config over them. One task per
//! channel drives discovery, states and the policy, and publishes an immutable snapshot; a call
//! loads the snapshot, picks, and polls the endpoint's own service from its own task.
//!
//! # Not here
//!
//! Which endpoint is picked: `evenkeel-policy`. Trying again: `evenkeel-resilience`; an attempt
//! that never left this process is placed again here, because nothing was tried yet.

mod balance;
mod connect;
mod demand;
mod dial;
mod driver;
mod endpoint;
mod endpoints;
mod future;
mod published;
#[cfg(test)]
mod scripted;
mod server_stream;
mod snapshot;
mod subchannel;
mod ticket;

pub use balance::{Balance, BalanceLayer, EndpointReport};
pub use connect::{ConnectDiscover, ConnectLayer};
pub use endpoint::{EndpointDiscover, EndpointLayer};
pub use future::{EndpointBody, ResponseFuture};
pub use subchannel::{Admission, Connected, Subchannel, SubchannelConfig, SubchannelFuture};
pub use ticket::EndpointTicket;
