use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use evenkeel_core::error::chain;
use evenkeel_core::{Address, Endpoint};
use evenkeel_etcd::doctor::Dialled;
use evenkeel_transport::{Connect, ConnectError, ConnectStep, Connector};
use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;

/// How many connections are opened at the same time.
const LIMIT: usize = 64;

/// Opens a connection to each address, waits for the HTTP/2 server there to say hello, and closes
/// it.
pub(super) async fn all(
    addresses: BTreeSet<Address>,
    within: Duration,
) -> BTreeMap<Address, Dialled> {
    let connector = Connector::new();
    stream::iter(addresses)
        .map(|address| dial(&connector, address, within))
        .buffer_unordered(LIMIT)
        .collect()
        .await
}

async fn dial(connector: &Connector, address: Address, within: Duration) -> (Address, Dialled) {
    let endpoint = Endpoint::new(address.clone());
    let dialled = match timeout(within, connector.connect(&address, &endpoint)).await {
        Ok(Ok(_)) => Dialled::Http2,
        Ok(Err(error)) => judge(&error),
        Err(_) => Dialled::Unreachable(format!("no answer within {within:?}")),
    };
    (address, dialled)
}

fn judge(error: &ConnectError) -> Dialled {
    // Without the address, so that those with the same trouble are shown together.
    let step = error.step();
    let reason = match error.source() {
        Some(source) => format!("{step}: {}", chain(source)),
        None => step.to_string(),
    };
    match step {
        ConnectStep::Http2 | ConnectStep::NoSettings => Dialled::NotHttp2(reason),
        _ => Dialled::Unreachable(reason),
    }
}
