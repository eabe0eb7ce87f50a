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
/// Between the beginnings of two dials. All clients dial all servers, and those whose addresses pass
/// through a proxy burden that as well.
const BETWEEN_DIALS: Duration = Duration::from_millis(20);
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
    next_dial: Instant,
    /// Who was dialled, and whether nobody listens there.
    dials: JoinSet<(EndpointKey, Endpoint, bool)>,
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
            next_dial: Instant::now(),
            dials: JoinSet::new(),
        }
    }

    /// Nobody is kept: the next loss begins anew.
    pub(super) fn reset(&mut self) {
        self.next_round = None;
        self.pause = self.every;
        self.queue.clear();
        self.dials.abort_all();
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
            let may_dial = self.dials.len() < AT_ONCE && !self.queue.is_empty();
            tokio::select! {
                Some(dialled) = self.dials.join_next() => {
                    // Another one may be kept under the key since.
                    if let Ok((key, endpoint, true)) = dialled
                        && entries.kept_at(&key) == Some(&endpoint)
                    {
                        return key;
                    }
                }
                () = sleep_until(self.next_dial), if may_dial => {
                    self.next_dial = Instant::now() + BETWEEN_DIALS;
                    self.dial_next(entries);
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

    /// Dials the next one, unless it is not kept any more.
    fn dial_next(&mut self, entries: &Entries) {
        if let Some((key, endpoint)) = self.queue.pop()
            && entries.kept_at(&key) == Some(&endpoint)
        {
            self.dials.spawn(async move {
                let refused = refuses(&endpoint).await;
                (key, endpoint, refused)
            });
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
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::EtcdConfig;
    use crate::discover::DiscoverStats;
    use crate::discover::entries::Raw;

    /// All of them are kept.
    fn lost(addresses: &[String]) -> Entries {
        let stats = Arc::new(DiscoverStats::default());
        let mut entries = Entries::new(&EtcdConfig::default(), "user", stats);
        let now = Instant::now().into_std();
        write(&mut entries, addresses);
        entries.settle(now);
        entries.replace([], true, now);
        assert_eq!(entries.kept_len(), addresses.len());
        entries
    }

    /// The first one's key is `user/0`.
    fn write(entries: &mut Entries, addresses: &[String]) {
        for (n, address) in addresses.iter().enumerate() {
            let (key, value) = (format!("user/{n}"), format!(r#"{{"Addr":"{address}"}}"#));
            entries.put(Raw {
                key: key.as_bytes(),
                value: value.as_bytes(),
                revision: 1,
            });
        }
        entries.changes();
    }

    /// An address at which nobody listens.
    async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    }

    #[tokio::test]
    async fn dials_begin_one_after_another() {
        let addresses = [nobody().await, nobody().await, nobody().await];
        let entries = lost(&addresses);
        let mut probes = Probes::new(&OnLoss::default());
        probes.queue.extend(entries.kept());
        let begin = Instant::now();
        let mut refused = Vec::new();
        for _ in &addresses {
            refused.push(probes.refused(&entries).await);
        }
        // However slow the machine is.
        assert!(begin.elapsed() >= BETWEEN_DIALS * 2);
        refused.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        refused.dedup();
        assert_eq!(refused.len(), 3);
    }

    #[tokio::test]
    async fn what_was_found_out_of_another_server_does_not_count() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let up = listener.local_addr().unwrap().to_string();
        let down = nobody().await;
        let mut probes = Probes::new(&OnLoss::default());
        let entries = lost(std::slice::from_ref(&down));
        probes.queue.extend(entries.kept());
        probes.dial_next(&entries);
        // Now another one is kept under that key.
        let entries = lost(&[up]);
        let accepted = async { drop(listener.accept().await.unwrap()) };
        tokio::select! {
            key = probes.refused(&entries) => panic!("{key} is well"),
            () = accepted => {}
        }
        probes.reset();
        assert!(probes.queue.is_empty());
        while let Some(dialled) = probes.dials.join_next().await {
            assert!(dialled.is_err() || dialled.is_ok_and(|(.., refused)| !refused));
        }
    }

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
