use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use evenkeel_core::error::chain;
use evenkeel_core::{Address, Endpoint};
use evenkeel_etcd::doctor::Dialled;
use evenkeel_transport::{Connect, ConnectError, ConnectStep, Connector, Tls};
use futures_util::stream::{self, StreamExt};
use tokio::time::{sleep, timeout};

use crate::args;
use crate::at::read;

/// As clients are told to connect.
pub(super) fn connector(args: &args::Doctor) -> Result<Connector, String> {
    let mut connector = Connector::new();
    if let Some(authority) = &args.dial_authority {
        let authority = authority.parse();
        let authority = authority.map_err(|error| format!("--dial-authority: {error}"))?;
        connector = connector.with_authority(authority);
    }
    if let Some(file) = &args.dial_cacert {
        let tls = Tls::with_ca_pem(&read(file)?);
        let tls = tls.map_err(|error| format!("{}: {}", file.display(), chain(&error)))?;
        connector = connector.with_tls(tls);
    }
    Ok(connector)
}

/// How many connections are opened at the same time; a process may mostly have 1024 files.
const LIMIT: usize = 128;
/// How many times the limit of one address all of them together may take.
const PATIENCE: u32 = 10;

/// Opens a connection to each address, waits for the HTTP/2 server there to say hello, and closes
/// it. Where many do not answer, the last ones are not asked any more and are missing.
pub(super) async fn all(
    connector: Connector,
    addresses: BTreeSet<Address>,
    within: Duration,
) -> BTreeMap<Address, Dialled> {
    let enough = pin!(sleep(within * PATIENCE));
    stream::iter(addresses)
        .map(|address| dial(&connector, address, within))
        .buffer_unordered(LIMIT)
        .take_until(enough)
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
        ConnectStep::Tls | ConnectStep::Alpn => Dialled::Tls(reason),
        ConnectStep::Http2 | ConnectStep::NoSettings => Dialled::NotHttp2(reason),
        _ => Dialled::Unreachable(reason),
    }
}
