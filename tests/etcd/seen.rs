use std::collections::BTreeMap;

use evenkeel_core::Endpoint;
use evenkeel_discover::{Change, DiscoverError, EndpointKey};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover, KeepLast, OnLoss};
use evenkeel_testkit::{EtcdServer, within};
use futures_util::StreamExt;

pub(crate) const A: &str = "10.0.0.1:80";
pub(crate) const B: &str = "10.0.0.2:80";

/// A configuration for `server` that reports soon, so that a test does not wait long. Nobody is
/// behind most addresses of these tests, so etcd is believed whatever it says.
pub(crate) fn config(server: &EtcdServer) -> EtcdConfig {
    EtcdConfig {
        on_loss: OnLoss::AcceptEmpty,
        endpoints: vec![server.endpoint()],
        connect_timeout: std::time::Duration::from_millis(500),
        request_timeout: std::time::Duration::from_millis(500),
        report_after: std::time::Duration::from_millis(200),
        max_backoff: std::time::Duration::from_millis(200),
        ..EtcdConfig::default()
    }
}

/// As [`config`], for tests in which etcd is well: a slow machine is no outage.
pub(crate) fn patient(server: &EtcdServer) -> EtcdConfig {
    EtcdConfig {
        connect_timeout: std::time::Duration::from_secs(5),
        request_timeout: std::time::Duration::from_secs(5),
        report_after: evenkeel_testkit::PATIENCE,
        ..config(server)
    }
}

pub(crate) fn etcd(server: &EtcdServer) -> Etcd {
    Etcd::new(config(server)).unwrap()
}

/// As [`etcd`], but what is lost is kept. Nobody is dialled: who knows what answers at these addresses.
pub(crate) fn keeping(server: &EtcdServer) -> EtcdConfig {
    let keep = KeepLast {
        probe_every: std::time::Duration::MAX,
        ..KeepLast::default()
    };
    EtcdConfig {
        on_loss: OnLoss::KeepLast(keep),
        ..config(server)
    }
}

/// What the Go client writes for a server with this weight.
pub(crate) fn value(address: &str, weight: u32) -> String {
    format!(r#"{{"Op":0,"Addr":"{address}","Metadata":{{"weight":{weight}}}}}"#)
}

/// A consumer of discovery, as a balancer would be one.
pub(crate) struct Seen {
    pub(crate) discover: EtcdDiscover,
    pub(crate) list: BTreeMap<EndpointKey, Endpoint>,
    /// All changes so far, those that change nothing included.
    pub(crate) changes: usize,
    /// The last report, until the next change.
    pub(crate) report: Option<DiscoverError>,
}

impl Seen {
    pub(crate) fn of(etcd: Etcd, service: &str) -> Self {
        Self {
            discover: EtcdDiscover::watch(etcd, service),
            list: BTreeMap::new(),
            changes: 0,
            report: None,
        }
    }

    /// Takes the next item.
    pub(crate) async fn next(&mut self) {
        match self.discover.next().await.expect("discovery never ends") {
            Ok(change) => {
                self.changes += 1;
                self.report = None;
                match change {
                    Change::Insert(key, endpoint) => drop(self.list.insert(key, endpoint)),
                    Change::Remove(key) => {
                        self.list
                            .remove(&key)
                            .expect("only what is there is removed");
                    }
                }
            }
            Err(report) => self.report = Some(report),
        }
    }

    /// Takes items until `condition` holds; at once if it does already.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &'static str,
        condition: impl Fn(&Self) -> bool,
    ) -> impl Future<Output = ()> {
        within(what, async move {
            while !condition(self) {
                self.next().await;
            }
        })
    }

    /// Goes on discovering while `other` runs.
    pub(crate) async fn meanwhile<F: Future>(&mut self, other: F) -> F::Output {
        let discovering = async {
            loop {
                self.next().await;
            }
        };
        tokio::select! {
            output = other => output,
            () = discovering => unreachable!("it never ends"),
        }
    }

    /// Addresses and weights, in order: `127.0.0.1:1*10`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self.list.values().map(text).collect();
        addresses.sort();
        addresses
    }

    /// Waits until the list is exactly this.
    #[track_caller]
    pub(crate) fn until_list(&mut self, expected: &'static [&str]) -> impl Future<Output = ()> {
        self.until("the list as expected", move |seen| {
            seen.addresses() == expected
        })
    }
}

fn text(endpoint: &Endpoint) -> String {
    match endpoint.metadata().weight {
        Some(weight) => format!("{endpoint}*{weight}"),
        None => endpoint.to_string(),
    }
}
