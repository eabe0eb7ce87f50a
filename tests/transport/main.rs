//! One connection, or a channel over it, against real servers, and against peers that do exactly what a
//! test says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod calls;
mod close;
mod dial;
mod failures;
mod flow;
mod goaway;
mod keepalive;
mod limits;
mod peer;
mod retries;
mod tls;

use evenkeel_core::{Address, Endpoint};
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::within;
use evenkeel_transport::{CloseReason, Connect, Connected, Connector, Http2Connection};

type Client = UserServiceClient<Http2Connection>;

/// A connection as it is by default.
async fn connect(address: impl Into<Address>) -> Connected<Http2Connection> {
    connect_with(&Connector::new(), address).await
}

async fn connect_with(
    connector: &Connector,
    address: impl Into<Address>,
) -> Connected<Http2Connection> {
    let endpoint = Endpoint::new(address);
    let attempt = connector.connect(&endpoint.addresses()[0], &endpoint);
    let connected = within("a connection", attempt).await;
    connected.unwrap_or_else(|error| panic!("{}", evenkeel_core::error::chain(&error)))
}

/// A stub on a connection of its own.
async fn client(address: impl Into<Address>) -> Client {
    Client::new(connect(address).await.connection)
}

/// Why the connection takes no new calls, once it does not.
async fn closed(reason: tokio::sync::oneshot::Receiver<CloseReason>) -> CloseReason {
    let reason = within("the end of the connection", reason).await;
    reason.expect("a reason is always given")
}
