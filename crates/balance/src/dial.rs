//! One connection attempt to one endpoint: its addresses raced with a head start (RFC 8305).

use std::future::Future;
use std::time::Duration;

use evenkeel_core::{Address, Endpoint};
use evenkeel_transport::{Connect, ConnectError, Connected};
use futures_util::stream::{FuturesUnordered, StreamExt};

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

/// Dials the addresses in order: the next one starts when the present one fails or has had
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
    let race = race(endpoint.addresses(), head_start, &mut last, |address| {
        connector.connect(address, endpoint)
    });
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

async fn race<T, E, F: Future<Output = Result<T, E>>>(
    addresses: &[Address],
    head_start: Duration,
    last: &mut Option<E>,
    mut connect: impl FnMut(&Address) -> F,
) -> Option<T> {
    let mut waiting = addresses.iter();
    let mut running = FuturesUnordered::new();
    loop {
        match waiting.next() {
            Some(address) => running.push(connect(address)),
            None if running.is_empty() => return None,
            None => {}
        }
        // Ends when one of them fails (the next starts at once) or the head start is over.
        let next = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(head_start).await;
        };
        tokio::select! {
            biased;
            Some(result) = running.next() => match result {
                Ok(connected) => return Some(connected),
                Err(error) => *last = Some(error),
            },
            () = next => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::time::Instant;

    const HEAD_START: Duration = Duration::from_millis(250);

    /// What each address does: answers after so many ms, or fails.
    async fn run(script: &'static [(u64, Result<(), ()>)]) -> (Option<usize>, Vec<(usize, u128)>) {
        let addresses: Vec<Address> = (0..script.len())
            .map(|port| format!("10.0.0.1:{}", port + 1).parse().unwrap())
            .collect();
        let begun = Instant::now();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut last = None;
        let winner = race(&addresses, HEAD_START, &mut last, |address| {
            let index = addresses.iter().position(|other| other == address).unwrap();
            log.lock().push((index, begun.elapsed().as_millis()));
            let (delay, result) = script[index];
            async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                result.map(|()| index).map_err(|()| index)
            }
        })
        .await;
        let starts = log.lock().clone();
        (winner, starts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_address_at_once() {
        let (winner, starts) = run(&[(10, Err(())), (10, Err(())), (10, Ok(()))]).await;
        assert_eq!(winner, Some(2));
        assert_eq!(starts, [(0, 0), (1, 10), (2, 20)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_keeps_running_while_the_next_starts() {
        let (winner, starts) = run(&[(300, Ok(())), (1000, Ok(()))]).await;
        assert_eq!(winner, Some(0), "the first was slow, but still first");
        assert_eq!(starts, [(0, 0), (1, 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_failing_gives_nothing() {
        let (winner, starts) = run(&[(1, Err(())), (1, Err(()))]).await;
        assert_eq!((winner, starts.len()), (None, 2));
    }
}
