use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use evenkeel_core::{Address, Endpoint};
use evenkeel_discover::{DiscoverError, Registrar, Registration};
use evenkeel_etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel_testkit::{EtcdCluster, PATIENCE, eventually, within};
use tokio::time::timeout;

use crate::seen::{A, B, Seen, value};

const KEY: &str = "user/10.0.0.1:80";

/// One that reports an outage only when a test has failed anyway.
fn config(endpoints: Vec<String>) -> EtcdConfig {
    EtcdConfig {
        endpoints,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
        check_every: Duration::from_millis(500),
        max_backoff: Duration::from_millis(500),
        report_after: PATIENCE,
        ..EtcdConfig::default()
    }
}

fn place_in_use(cluster: &EtcdCluster, etcd: &Etcd) -> usize {
    let member = etcd.member().expect("it is connected");
    let endpoints = cluster.endpoints();
    endpoints.iter().position(|url| **url == *member).unwrap()
}

/// A client and a server of one process, which share a connection to the cluster.
struct Process {
    etcd: Etcd,
    seen: Seen,
    registration: Registration,
    lease: i64,
}

impl Process {
    async fn start(cluster: &EtcdCluster) -> Self {
        Self::with(cluster, config(cluster.endpoints())).await
    }

    async fn with(cluster: &EtcdCluster, config: EtcdConfig) -> Self {
        let etcd = Etcd::new(config).unwrap();
        let short = RegistrarConfig {
            // Long enough for a machine that is busy with other things.
            ttl: Duration::from_secs(9),
            ..RegistrarConfig::default()
        };
        let registrar = EtcdRegistrar::new(etcd.clone(), short).unwrap();
        let endpoint = Endpoint::new(A.parse::<Address>().unwrap());
        let registration = registrar.register("user", endpoint).unwrap();
        let mut seen = Seen::of(etcd.clone(), "user");
        seen.until_list(&["10.0.0.1:80"]).await;
        let lease = lease(cluster).await;
        Self {
            etcd,
            seen,
            registration,
            lease,
        }
    }

    /// Waits until discovery has learned what somebody else writes now; it never reported an
    /// outage.
    async fn learns(&mut self, cluster: &EtcdCluster, expected: &'static [&str]) {
        let weight = expected[1].rsplit('*').next().unwrap().parse().unwrap();
        put(cluster, weight).await;
        let learned = |seen: &Seen| {
            assert!(!is_outage(seen), "{:?}", seen.report);
            seen.addresses() == expected
        };
        self.seen.until("the list as expected", learned).await;
    }

    /// Waits until the member in use has been asked twice to renew the lease: not only when the
    /// registrar came to it. It is still the first lease.
    async fn renews(&mut self, cluster: &mut EtcdCluster) {
        let lease = self.lease;
        let etcd = &self.etcd;
        let renewed = async {
            let mut first = None;
            loop {
                if etcd.member().is_some() {
                    let place = place_in_use(cluster, etcd);
                    let asked = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";
                    let asked = cluster.member(place).metric(asked).await;
                    match first {
                        Some((member, before)) if member == place => {
                            if asked >= before + 2.0 {
                                return;
                            }
                        }
                        _ => first = Some((place, asked)),
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        self.seen.meanwhile(within("two renewals", renewed)).await;
        assert_eq!(self::lease(cluster).await, lease, "the lease was lost");
        let registered = within("it is registered", self.registration.registered());
        registered.await.unwrap();
    }
}

fn is_outage(seen: &Seen) -> bool {
    matches!(seen.report, Some(DiscoverError::Unavailable { .. }))
}

/// The answer of the first member that gives one.
async fn ask<T>(
    cluster: &EtcdCluster,
    request: impl AsyncFn(Client) -> Result<T, etcd_client::Error>,
) -> T {
    let answer = async {
        loop {
            for endpoint in cluster.endpoints() {
                let client = Client::connect([endpoint], None).await.unwrap();
                let answer = timeout(Duration::from_secs(1), request(client)).await;
                if let Ok(Ok(answer)) = answer {
                    return answer;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("an answer of the cluster", answer).await
}

/// Writes the endpoint `B`, once for each weight from 1 on. A member that hangs and is asked in vain
/// does what it was asked for when it goes on: that must not undo a later write.
async fn put(cluster: &EtcdCluster, weight: u32) {
    let earlier = Compare::version("user/2", CompareOp::Less, i64::from(weight));
    let put = TxnOp::put("user/2", value(B, weight), None);
    let write = Txn::new().when([earlier]).and_then([put]);
    ask(cluster, async |mut client| client.txn(write.clone()).await).await;
}

async fn lease(cluster: &EtcdCluster) -> i64 {
    let found = ask(cluster, async |mut client| client.get(KEY, None).await).await;
    found.kvs().first().map_or(0, |key| key.lease())
}

#[tokio::test]
async fn when_the_member_in_use_dies_another_one_is_used_at_once() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut process = Process::start(&cluster).await;
    let first = place_in_use(&cluster, &process.etcd);
    cluster.member(first).kill().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*1"])
        .await;
    let second = place_in_use(&cluster, &process.etcd);
    assert_ne!(first, second);
    process.renews(&mut cluster).await;
    cluster.member(first).start_again().await;
    cluster.member(second).kill().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*2"])
        .await;
    assert_ne!(second, place_in_use(&cluster, &process.etcd));
    process.renews(&mut cluster).await;
}

#[tokio::test]
async fn when_the_member_in_use_hangs_another_one_is_used() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut process = Process::start(&cluster).await;
    let first = place_in_use(&cluster, &process.etcd);
    cluster.member(first).pause();
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*1"])
        .await;
    assert_ne!(first, place_in_use(&cluster, &process.etcd));
    process.renews(&mut cluster).await;
    cluster.member(first).resume();
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*2"])
        .await;
}

#[tokio::test]
async fn a_dead_leader_is_no_outage() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut process = Process::start(&cluster).await;
    let leader = cluster.leader().await;
    cluster.member(leader).kill().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*1"])
        .await;
    process.renews(&mut cluster).await;
}

#[tokio::test]
async fn after_the_death_of_all_members_a_majority_is_enough() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let mut process = Process::start(&cluster).await;
    for member in 0..EtcdCluster::MEMBERS {
        cluster.member(member).kill().await;
    }
    cluster.member(2).launch();
    // It has no leader yet, and neither serves nor is used.
    let tried = async {
        let mut state = process.registration.watch();
        state
            .wait_for(|state| format!("{state:?}").contains("Retrying"))
            .await
            .map(drop)
    };
    let tried = within("the registrar notices", tried);
    process.seen.meanwhile(tried).await.unwrap();
    cluster.member(0).start_again().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*1"])
        .await;
    process.renews(&mut cluster).await;
    cluster.member(1).start_again().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*2"])
        .await;
}

#[tokio::test]
async fn a_member_without_a_leader_is_named_and_not_used() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let config = EtcdConfig {
        endpoints: vec![cluster.endpoints()[1].clone()],
        report_after: Duration::from_millis(200),
        ..config(Vec::new())
    };
    put(&cluster, 1).await;
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.2:80*1"]).await;
    cluster.member(0).kill().await;
    cluster.member(2).kill().await;
    let named = |seen: &Seen| {
        let text = seen.report.as_ref().map(ToString::to_string);
        text.is_some_and(|text| text.contains("no leader"))
    };
    seen.until("a report of the missing leader", named).await;
    let text = seen.report.as_ref().unwrap().to_string();
    assert!(text.contains(&cluster.endpoints()[1]), "{text}");
    cluster.member(0).start_again().await;
    put(&cluster, 2).await;
    seen.until_list(&["10.0.0.2:80*2"]).await;
}

#[tokio::test]
async fn members_that_are_not_configured_are_learned() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    let known = config(vec![cluster.endpoints()[0].clone()]);
    let config = EtcdConfig {
        sync_members: Some(Duration::from_secs(60)),
        ..known
    };
    let mut process = Process::with(&cluster, config).await;
    assert_eq!(place_in_use(&cluster, &process.etcd), 0);
    cluster.member(0).kill().await;
    process
        .learns(&cluster, &["10.0.0.1:80", "10.0.0.2:80*1"])
        .await;
    assert_ne!(place_in_use(&cluster, &process.etcd), 0);
    process.renews(&mut cluster).await;
}

#[tokio::test]
async fn a_hanging_member_keeps_nobody_waiting_at_the_start() {
    let Some(mut cluster) = EtcdCluster::start().await else {
        return;
    };
    put(&cluster, 1).await;
    let leader = cluster.leader().await;
    let hanging = (leader + 1) % EtcdCluster::MEMBERS;
    cluster.member(hanging).pause();
    // Whichever is asked first.
    for _ in 0..8 {
        let patient = EtcdConfig {
            request_timeout: PATIENCE,
            connect_timeout: PATIENCE,
            ..config(cluster.endpoints())
        };
        let etcd = Etcd::new(patient).unwrap();
        let mut seen = Seen::of(etcd.clone(), "user");
        seen.until_list(&["10.0.0.2:80*1"]).await;
        let connected = eventually("a connection", || etcd.member().is_some());
        seen.meanwhile(connected).await;
        let member: Arc<str> = etcd.member().unwrap();
        assert_ne!(*member, *cluster.endpoints()[hanging]);
    }
    cluster.member(hanging).resume();
}
