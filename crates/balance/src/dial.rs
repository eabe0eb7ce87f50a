//! One connection attempt to one endpoint: its addresses raced with a head start (RFC 8305).

use std::time::Duration;

use evenkeel_core::{Address, Endpoint};
use evenkeel_policy::families::interleave;
use evenkeel_transport::{Connect, ConnectError, Connected, race};

/// No address of an endpoint could be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// It has one address, and that failed.
    #[error(transparent)]
    Only(ConnectError),
    #[error("all {addresses} addresses of {endpoint} failed, the last one")]
    All {
        endpoint: String,
        addresses: usize,
        #[source]
        last: ConnectError,
    },
    #[error("{endpoint}: no connection within {after:?}")]
    TimedOut {
        endpoint: String,
        after: Duration,
        #[source]
        last: Option<ConnectError>,
    },
}

/// Dials the addresses in order, families in turn: the next one starts when the present one fails or has had
/// `head_start`; the first to be ready wins, the others are dropped.
pub(crate) async fn dial<C: Connect>(
    connector: &C,
    endpoint: &Endpoint,
    head_start: Duration,
    until: tokio::time::Instant,
) -> Result<Connected<C::Connection>, DialError> {
    let started = tokio::time::Instant::now();
    let addresses = endpoint.addresses().len();
    let mut last = None;
    let race = race(
        interleave(endpoint.addresses().iter().collect(), |address| address),
        head_start,
        |address: &Address| connector.connect(address, endpoint),
        |error| last = Some(error),
    );
    let result = tokio::time::timeout_at(until, race).await;
    let endpoint = || endpoint.to_string();
    let after = || started.elapsed();
    match result {
        Ok(Some(connected)) => Ok(connected),
        Ok(None) => {
            let last = last.expect("an endpoint has at least one address, and each of them failed");
            Err(match addresses {
                1 => DialError::Only(last),
                addresses => DialError::All {
                    endpoint: endpoint(),
                    addresses,
                    last,
                },
            })
        }
        Err(_elapsed) => Err(DialError::TimedOut {
            endpoint: endpoint(),
            after: after(),
            last,
        }),
    }
}
