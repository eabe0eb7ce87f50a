use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use etcd_client::Client;
use tokio::time::timeout;

use super::EtcdServer;
use super::process::{Ports, Setup, Tokens};
use crate::{skip, within};

/// An etcd of three members on loopback, each of which can be disturbed by itself.
///
/// ```no_run
/// use evenkeel_testkit::EtcdCluster;
///
/// # async fn test() {
/// let Some(mut cluster) = EtcdCluster::start().await else {
///     return; // reported as skipped: etcd is not installed
/// };
/// let leader = cluster.leader().await;
/// cluster.member(leader).kill().await;
/// cluster.client().await.put("user/1", "…", None).await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<EtcdServer>,
}

impl EtcdCluster {
    /// How many members there are.
    pub const MEMBERS: usize = 3;

    /// Starts all members and waits until they serve. Without an etcd on the `PATH`, the calling
    /// test is reported as skipped and gets `None`.
    ///
    /// # Panics
    ///
    /// When etcd is there and does not start.
    pub async fn start() -> Option<Self> {
        Self::start_with(None).await
    }

    /// The same with signed tokens of this many whole seconds, which every change of users and
    /// roles outdates.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub async fn jwt(ttl: Duration) -> Option<Self> {
        Self::start_with(Some(Tokens::Jwt(ttl))).await
    }

    async fn start_with(tokens: Option<Tokens>) -> Option<Self> {
        let binary = skip::unless_installed("etcd")?;
        // The ports were free a moment ago; that somebody else took one is rare, not impossible.
        for _ in 0..3 {
            let mut cluster = Self::new(&binary);
            for member in &mut cluster.members {
                member.setup.tokens = tokens.unwrap_or(member.setup.tokens);
            }
            if cluster.begin().await {
                return Some(cluster);
            }
        }
        panic!("no cluster of etcd starts");
    }

    fn new(binary: &Path) -> Self {
        let ports: Vec<_> = (0..Self::MEMBERS).map(|_| Ports::free()).collect();
        let names: Vec<_> = (0..Self::MEMBERS).map(|n| format!("test{n}")).collect();
        let all: Vec<_> = names
            .iter()
            .zip(&ports)
            .map(|(name, ports)| format!("{name}={}", ports.peer_url()))
            .collect();
        let member = |(name, ports): (&String, &Ports)| {
            let mut member = EtcdServer::new(binary.to_owned(), name, *ports);
            member.setup = Setup::member(name, all.join(","));
            member
        };
        Self {
            members: names.iter().zip(&ports).map(member).collect(),
        }
    }

    async fn begin(&mut self) -> bool {
        for member in &mut self.members {
            member.launch();
        }
        for member in &mut self.members {
            if !member.serves().await {
                return false;
            }
        }
        true
    }

    /// One member, for all that can happen to it; `n` is less than [`Self::MEMBERS`].
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn member(&mut self, n: usize) -> &mut EtcdServer {
        &mut self.members[n]
    }

    /// Where the members serve: `http://127.0.0.1:port`.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(EtcdServer::endpoint).collect()
    }

    /// A client of its own connections, to all members.
    ///
    /// # Panics
    ///
    /// When etcd refuses it.
    pub async fn client(&self) -> Client {
        let client = Client::connect(self.endpoints(), None).await;
        client.expect("a client without authentication connects lazily")
    }

    /// The place of the member that most members take for the leader; waits until there is one.
    ///
    /// # Panics
    ///
    /// When there is none for long.
    pub async fn leader(&self) -> usize {
        within("the members agree on a leader", async {
            loop {
                if let Some(leader) = self.elected().await {
                    return leader;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    async fn elected(&self) -> Option<usize> {
        let mut places = HashMap::new();
        let mut votes = HashMap::<u64, usize>::new();
        for (place, member) in self.members.iter().enumerate() {
            if member.process.is_none() {
                continue;
            }
            let mut client = member.client().await;
            // A paused one does not answer.
            let status = timeout(Duration::from_millis(500), client.status()).await;
            if let Ok(Ok(status)) = status {
                places.insert(status.header()?.member_id(), place);
                *votes.entry(status.leader()).or_default() += 1;
            }
        }
        let (leader, _) = votes
            .iter()
            .find(|(_, votes)| **votes > Self::MEMBERS / 2)?;
        places.get(leader).copied()
    }

    /// Stops all members that run, in order (SIGTERM).
    ///
    /// # Panics
    ///
    /// When one does not stop.
    pub async fn stop(&mut self) {
        for member in &mut self.members {
            if member.process.is_some() {
                member.stop().await;
            }
        }
    }

    /// Starts all members that are stopped, with the same ports and data, and waits until all
    /// serve.
    ///
    /// # Panics
    ///
    /// When one does not start.
    pub async fn start_again(&mut self) {
        for member in &mut self.members {
            if member.process.is_none() {
                member.launch();
            }
        }
        for member in &mut self.members {
            let serves = member.serves().await;
            assert!(serves, "etcd does not start; it says:\n{}", member.log());
        }
    }

    /// Removes the data of all members, which must be stopped: they start again as a new cluster,
    /// with another id and at revision 1.
    ///
    /// # Panics
    ///
    /// When one is running.
    pub fn wipe(&mut self) {
        for member in &mut self.members {
            member.wipe();
        }
    }
}
