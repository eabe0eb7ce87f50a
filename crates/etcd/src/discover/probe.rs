use std::io;
use std::time::Duration;

use evenkeel_core::{Address, Endpoint};
use evenkeel_discover::EndpointKey;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::OnLoss;
use super::entries::Entries;
use crate::config::LONGEST;

/// Dials under way at the same time.
const AT_ONCE: usize = 32;
/// A dial that takes longer proves nothing.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Dials the endpoints that are kept, round after round, to find those where nobody listens.
#[derive(Debug)]
pub(super) struct Probes {
    every: Duration,
    /// Twice as long after each round, up to four times: all clients dial all servers.
    pause: Duration,
    next_round: Option<Instant>,
    /// Who is left of this round.
    queue: Vec<(EndpointKey, Endpoint)>,
    dials: JoinSet<(EndpointKey, bool)>,
}

impl Probes {
    pub(super) fn new(on_loss: &OnLoss) -> Self {
        let every = match on_loss {
            OnLoss::KeepLast(keep) => keep.probe_every,
            OnLoss::AcceptEmpty => LONGEST,
        };
        Self {
            every,
            pause: every,
            next_round: None,
            queue: Vec::new(),
            dials: JoinSet::new(),
        }
    }

    /// Nobody is kept: the next loss begins anew.
    pub(super) fn reset(&mut self) {
        self.next_round = None;
        self.pause = self.every;
        self.queue.clear();
    }

    /// The next one of those kept in `entries` that refuses connections. Cancel safe.
    pub(super) async fn refused(&mut self, entries: &Entries) -> EndpointKey {
        loop {
            let next_round = *self.next_round.get_or_insert_with(|| {
                // Every client has seen the loss at the same time.
                let never = self.every >= LONGEST;
                let part = if never { 1.0 } else { fastrand::f64() };
                Instant::now() + self.every.mul_f64(part)
            });
            while self.dials.len() < AT_ONCE
                && let Some((key, endpoint)) = self.queue.pop()
            {
                self.dials.spawn(async move {
                    let refused = refuses(&endpoint).await;
                    (key, refused)
                });
            }
            tokio::select! {
                Some(dialled) = self.dials.join_next() => {
                    if let Ok((key, true)) = dialled && entries.is_kept(&key) {
                        return key;
                    }
                }
                () = sleep_until(next_round), if self.queue.is_empty() => {
                    let jitter = 0.9 + 0.2 * fastrand::f64();
                    self.next_round = Some(Instant::now() + self.pause.mul_f64(jitter));
                    self.pause = (self.pause * 2).min(self.every * 4);
                    self.queue.extend(entries.kept());
                }
            }
        }
    }
}

/// Whether nobody listens at any of the addresses; false whenever that is not sure.
async fn refuses(endpoint: &Endpoint) -> bool {
    for address in endpoint.addresses() {
        match timeout(DIAL_TIMEOUT, dial(address)).await {
            Ok(Err(error)) if is_refusal(address, &error) => {}
            _ => return false,
        }
    }
    true
}

async fn dial(address: &Address) -> io::Result<()> {
    match address {
        Address::Ip(address) => TcpStream::connect(address).await.map(drop),
        Address::Host { host, port } => TcpStream::connect((&**host, *port)).await.map(drop),
        #[cfg(unix)]
        Address::Unix(path) => tokio::net::UnixStream::connect(path).await.map(drop),
        #[cfg(target_os = "linux")]
        Address::UnixAbstract(name) => {
            let name = format!("\0{name}");
            tokio::net::UnixStream::connect(name).await.map(drop)
        }
        _ => Ok(()),
    }
}

fn is_refusal(address: &Address, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => true,
        // The socket's file goes with its server. A host that is not found may be found again.
        io::ErrorKind::NotFound => matches!(address, Address::Unix(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn refuses_at(addresses: &[&str]) -> bool {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        refuses(&Endpoint::with_addresses(addresses).unwrap()).await
    }

    #[tokio::test]
    async fn only_a_refusal_at_all_addresses_is_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let up = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let down = closed.local_addr().unwrap();
        drop(closed);
        let host = format!("localhost:{}", up.port());
        let [up, down] = [up, down].map(|address| address.to_string());
        assert!(!refuses_at(&[&up]).await && refuses_at(&[&down]).await);
        assert!(!refuses_at(&[&down, &up]).await);
        assert!(!refuses_at(&[&host]).await);
        assert!(!refuses_at(&["nobody.invalid:80"]).await, "not resolved");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn unix_sockets_are_dialled_too() {
        let name = format!("evenkeel-probe-{}", std::process::id());
        let listener = tokio::net::UnixListener::bind(format!("\0{name}")).unwrap();
        let address = format!("unix-abstract:{name}");
        assert!(!refuses_at(&[&address]).await);
        drop(listener);
        assert!(refuses_at(&[&address]).await);
        assert!(refuses_at(&["unix:/nowhere/at/all.sock"]).await);
    }
}
