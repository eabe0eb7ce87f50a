//! weighted_round_robin: servers report their load with each call, and are given calls by it.

use std::time::Duration;

use evenkeel_testkit::{OrcaLoadReport, UserServer};
use tokio::time::advance;

use super::{StoppedClock, until_shares};
use crate::{Client, calls, channel, servers, shares, since};

/// Believes the first report, and reads them ten times a second.
const CONFIG: &str = r#"{"loadBalancingConfig": [{"weighted_round_robin":
    {"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}}]}"#;

const PERIOD: Duration = Duration::from_millis(100);

/// 100 calls per second by each server, of which each is used as much as said here.
fn report(servers: &[UserServer], utilizations: [f64; 3]) {
    for (server, utilization) in servers.iter().zip(utilizations) {
        let report = OrcaLoadReport {
            rps_fractional: 100.0,
            application_utilization: utilization,
            ..OrcaLoadReport::default()
        };
        server.report_load(Some(&report));
    }
}

/// Calls until each server has told its load since this was called.
async fn all_reported(client: &mut Client, servers: &[UserServer]) {
    let before = shares(servers);
    while since(servers, &before).contains(&0) {
        calls(client, 1).await.unwrap();
    }
}

/// How 70 calls are shared.
async fn shares_of_70(client: &mut Client, servers: &[UserServer]) -> Vec<u64> {
    let before = shares(servers);
    calls(client, 70).await.unwrap();
    since(servers, &before)
}

fn are_about(shares: &[u64], expected: [u64; 3]) -> bool {
    let pairs = shares.iter().zip(expected);
    let is_about = |(share, expected): (&u64, u64)| share.abs_diff(expected) <= 2;
    pairs.clone().count() == 3 && pairs.into_iter().all(is_about)
}

#[tokio::test(start_paused = true)]
async fn shares_follow_changed_reports_when_an_update_period_has_passed_and_not_before() {
    let _stopped = StoppedClock::new();
    let servers = servers(3).await;
    let channel = channel(&servers, CONFIG).await;
    let mut client = Client::new(channel.clone());
    let mut last = [23, 23, 23];
    for (utilizations, expected) in [
        ([1.0, 0.5, 0.25], [10, 20, 40]),
        ([0.25, 0.5, 1.0], [40, 20, 10]),
        ([0.2, 0.8, 0.2], [31, 8, 31]),
    ] {
        report(&servers, utilizations);
        all_reported(&mut client, &servers).await;
        let changed = channel.changed();
        advance(PERIOD - Duration::from_millis(1)).await;
        let shares = shares_of_70(&mut client, &servers).await;
        assert!(are_about(&shares, last), "before: {shares:?}");

        advance(Duration::from_millis(1)).await;
        changed.await;
        let shares = shares_of_70(&mut client, &servers).await;
        assert!(are_about(&shares, expected), "{shares:?} {utilizations:?}");
        last = expected;
    }
    for server in &servers {
        assert_eq!(server.seen().accepted, 1);
    }
}

#[tokio::test]
async fn without_reports_it_is_round_robin() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, CONFIG).await);
    for _ in 0..5 {
        let before = shares(&servers);
        calls(&mut client, 30).await.unwrap();
        assert_eq!(since(&servers, &before), [10, 10, 10]);
    }
}

#[tokio::test]
async fn a_server_that_reports_errors_gets_less() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, CONFIG).await);
    report(&servers, [0.5, 0.5, 0.5]);
    let failing = OrcaLoadReport {
        rps_fractional: 100.0,
        eps: 50.0,
        application_utilization: 0.5,
        ..OrcaLoadReport::default()
    };
    servers[2].report_load(Some(&failing));
    // 0.5 and a penalty of 50 / 100: half the weight of the others.
    until_shares(&mut client, &servers, 50, |shares| {
        are_about(shares, [20, 20, 10])
    })
    .await;
}

#[tokio::test]
async fn the_metrics_that_the_config_names_count() {
    let servers = servers(3).await;
    let config = r#"{"loadBalancingConfig": [{"weighted_round_robin":
        {"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s",
         "metricNamesForComputingUtilization": ["named_metrics.queue"]}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    for (server, queue) in servers.iter().zip([1.0, 0.5, 0.25]) {
        let report = OrcaLoadReport {
            rps_fractional: 100.0,
            application_utilization: 0.5,
            named_metrics: [("queue".to_owned(), queue)].into(),
            ..OrcaLoadReport::default()
        };
        server.report_load(Some(&report));
    }
    until_shares(&mut client, &servers, 70, |shares| {
        are_about(shares, [10, 20, 40])
    })
    .await;
}
