use etcd_client::Client;
use evenkeel::etcd::EtcdConfig;
use evenkeel_testkit::EtcdServer;
use evenkeel_testkit::etcd::{Backup, EtcdCluster};

/// How many members etcd has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Members {
    One,
    Three,
}

/// A real etcd.
pub(crate) enum Registry {
    One(Box<EtcdServer>),
    Three(EtcdCluster),
}

impl Registry {
    pub(crate) async fn start(members: Members) -> Option<Self> {
        Some(match members {
            Members::One => Self::One(Box::new(EtcdServer::start().await?)),
            Members::Three => Self::Three(EtcdCluster::start().await?),
        })
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        match self {
            Self::One(etcd) => vec![etcd.endpoint()],
            Self::Three(cluster) => cluster.endpoints(),
        }
    }

    /// How servers reach it.
    pub(crate) fn config(&self) -> EtcdConfig {
        EtcdConfig {
            endpoints: self.endpoints(),
            ..EtcdConfig::default()
        }
    }

    pub(crate) async fn client(&self) -> Client {
        match self {
            Self::One(etcd) => etcd.client().await,
            Self::Three(cluster) => cluster.client().await,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.endpoints().len()
    }

    pub(crate) fn member(&mut self, n: usize) -> &mut EtcdServer {
        match self {
            Self::One(etcd) => etcd,
            Self::Three(cluster) => cluster.member(n),
        }
    }

    pub(crate) async fn leader(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Three(cluster) => cluster.leader().await,
        }
    }

    pub(crate) async fn stop(&mut self) {
        match self {
            Self::One(etcd) => etcd.stop().await,
            Self::Three(cluster) => cluster.stop().await,
        }
    }

    pub(crate) async fn start_again(&mut self) {
        match self {
            Self::One(etcd) => etcd.start_again().await,
            Self::Three(cluster) => cluster.start_again().await,
        }
    }

    pub(crate) fn wipe(&mut self) {
        match self {
            Self::One(etcd) => etcd.wipe(),
            Self::Three(cluster) => cluster.wipe(),
        }
    }

    /// What all members know; they must be stopped.
    pub(crate) fn backup(&mut self) -> Vec<Backup> {
        (0..self.count()).map(|n| self.member(n).backup()).collect()
    }

    pub(crate) fn restore(&mut self, backups: &[Backup]) {
        for (n, backup) in backups.iter().enumerate() {
            self.member(n).restore(backup);
        }
    }
}
