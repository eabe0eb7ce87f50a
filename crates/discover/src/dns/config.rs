use std::net::SocketAddr;
use std::time::Duration;

/// How [`DnsDiscover`](crate::DnsDiscover) looks names up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The DNS servers to ask; those of a target `dns://server/name` count instead. Default none: those
    /// of the system, with its search domains and `/etc/hosts`.
    pub servers: Vec<SocketAddr>,
    /// How soon a name is looked up again at the earliest after a good answer, whatever its TTL and
    /// whoever asks; at the latest after a negative one. Default 30 s, as in gRPC; at least 1 ms.
    pub min_ttl: Duration,
    /// How late a name is looked up again at the latest. Default 5 min; less than `min_ttl` counts as
    /// that.
    pub max_ttl: Duration,
    /// How long a lookup may take altogether, with repetitions, search domains, and the addresses
    /// of SRV targets; a question is asked three times, for a third of that at most each, whatever
    /// `attempts` says in `/etc/resolv.conf`. Default 10 s; from 3 ms to a day.
    pub timeout: Duration,
    /// Whether SRV records of all priorities are endpoints. Default false: only those of the lowest
    /// one that there is. If true, each endpoint has its `priority` among its metadata, and an LB policy
    /// has to heed it: `evenkeel.priority` does, with a level for each priority that is told by its
    /// metadata, `{"metadata": {"priority": "10"}}`.
    pub all_priorities: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            min_ttl: Duration::from_secs(30),
            max_ttl: Duration::from_secs(300),
            timeout: Duration::from_secs(10),
            all_priorities: false,
        }
    }
}
