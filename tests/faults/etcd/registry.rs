use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use evenkeel::etcd::{Credentials, EtcdConfig};
use evenkeel_testkit::EtcdServer;
use evenkeel_testkit::etcd::{Backup, EtcdCluster};

/// Name and password.
const ROOT: &str = "root";

/// How many members etcd has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Members {
    One,
    Three,
}

/// A real etcd.
pub(crate) struct Registry {
    etcd: Etcd,
    credentials: Option<Credentials>,
}

enum Etcd {
    One(Box<EtcdServer>),
    Three(EtcdCluster),
}

impl Registry {
    pub(crate) async fn start(members: Members) -> Option<Self> {
        let etcd = match members {
            Members::One => Etcd::One(Box::new(EtcdServer::start().await?)),
            Members::Three => Etcd::Three(EtcdCluster::start().await?),
        };
        Some(Self {
            etcd,
            credentials: None,
        })
    }

    /// One that wants names and passwords, and gives signed tokens for them.
    pub(crate) async fn with_tokens(members: Members, ttl: Duration) -> Option<Self> {
        let etcd = match members {
            Members::One => Etcd::One(Box::new(EtcdServer::builder().jwt(ttl).start().await?)),
            Members::Three => Etcd::Three(EtcdCluster::jwt(ttl).await?),
        };
        let mut registry = Self {
            etcd,
            credentials: None,
        };
        registry.member(0).enable_auth(ROOT).await;
        registry.credentials = Some(Credentials {
            name: ROOT.into(),
            password: ROOT.into(),
        });
        Some(registry)
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        match &self.etcd {
            Etcd::One(etcd) => vec![etcd.endpoint()],
            Etcd::Three(cluster) => cluster.endpoints(),
        }
    }

    /// How servers reach it.
    pub(crate) fn config(&self) -> EtcdConfig {
        EtcdConfig {
            endpoints: self.endpoints(),
            credentials: self.credentials.clone(),
            ..EtcdConfig::default()
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let options = self.credentials.as_ref().map(|root| {
            ConnectOptions::new()
                .with_user(&root.name, &root.password)
                .with_auto_token_refresh(true)
        });
        let client = Client::connect(self.endpoints(), options).await;
        client.unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.endpoints().len()
    }

    pub(crate) fn member(&mut self, n: usize) -> &mut EtcdServer {
        match &mut self.etcd {
            Etcd::One(etcd) => etcd,
            Etcd::Three(cluster) => cluster.member(n),
        }
    }

    pub(crate) async fn leader(&self) -> usize {
        match &self.etcd {
            Etcd::One(_) => 0,
            Etcd::Three(cluster) => cluster.leader().await,
        }
    }

    pub(crate) async fn stop(&mut self) {
        match &mut self.etcd {
            Etcd::One(etcd) => etcd.stop().await,
            Etcd::Three(cluster) => cluster.stop().await,
        }
    }

    pub(crate) async fn start_again(&mut self) {
        match &mut self.etcd {
            Etcd::One(etcd) => etcd.start_again().await,
            Etcd::Three(cluster) => cluster.start_again().await,
        }
    }

    pub(crate) fn wipe(&mut self) {
        match &mut self.etcd {
            Etcd::One(etcd) => etcd.wipe(),
            Etcd::Three(cluster) => cluster.wipe(),
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
