//! Whole channels whose servers break off in every way there is: what is sent again, as the server
//! counts it.

mod cut;
mod refused;

use std::time::Duration;

use evenkeel::{BackoffConfig, Channel};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::within;
use tokio::join;
use tonic::Status;

use crate::peer::{HEADERS, Peer, Wire};

const NO_POLICY: &str = "{}";
const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2,
    "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;

type Client = UserServiceClient<Channel>;

/// A peer, a channel to it alone, and their first connection.
async fn connected(config: &str) -> (Peer, Client, Wire) {
    let peer = Peer::listen().await;
    let builder = Channel::builder(format!("static:///{}", peer.address()));
    let channel = builder.service_config(config).backoff(BackoffConfig {
        initial: Duration::from_millis(20),
        ..BackoffConfig::default()
    });
    let channel = channel.build().unwrap();
    channel.connect();
    let wire = peer.accept().await;
    within("READY", channel.wait_until_ready()).await.unwrap();
    (peer, Client::new(channel), wire)
}

async fn get(client: &Client) -> Result<(), Status> {
    let mut client = client.clone();
    let call = client.get_by_id(GetByIdRequest { id: 1 });
    within("a result", call).await.map(drop)
}

/// A head, an empty message, and OK.
async fn answer(wire: &mut Wire, stream: u32) {
    wire.head(stream).await;
    wire.data(stream, &[0; 5]).await;
    wire.trailers(stream).await;
}

/// No more requests come before the client closes its connections, which it does when it is dropped.
async fn no_more_requests(peer: Peer, client: Client, wires: impl IntoIterator<Item = Wire>) {
    drop(client);
    for mut wire in wires {
        let rest = wire.rest().await;
        assert!(rest.iter().all(|frame| frame.kind != HEADERS), "{rest:?}");
    }
    drop(peer);
}

/// What comes first on the connection after one that was cut is the next call.
async fn sends_on_its_next_connection(peer: &Peer, client: &Client) -> Wire {
    let serve = async {
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        next
    };
    let (result, next) = join!(get(client), serve);
    result.unwrap();
    next
}
