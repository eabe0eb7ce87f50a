//! Etcd goes away and comes back: calls go on, and nobody has to help.

use std::time::Duration;

use evenkeel::Channel;
use evenkeel::discover::RegistrationState;
use evenkeel::etcd::EtcdConfig;
use evenkeel_testkit::{EtcdServer, within};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{channel, config, three, totals};
use crate::load::Load;
use crate::{COURSE, Client, all_ready, call, calls, quick};
use evenkeel_tests::Process;

/// Stops etcd for `outage` under load, and starts it again.
async fn outage(outage: Duration) {
    let Some(mut etcd) = EtcdServer::start().await else {
        return;
    };
    let processes = three(&etcd).await;
    let channel = channel(&etcd);
    all_ready(&channel, 3).await;
    let load = Load::start(&channel, 1);
    etcd.stop().await;
    let until = Instant::now() + outage;
    while Instant::now() < until {
        load.pass(20).await;
        assert_eq!(channel.endpoints().len(), 3, "all are kept");
    }
    for process in &processes {
        let state = process.state();
        assert!(is_retrying(&state), "{state:?}");
    }
    etcd.start_again().await;
    mended(&etcd, &processes, &channel).await;
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
}

fn is_retrying(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Retrying { .. })
}

/// Nobody helps: servers write themselves into etcd again, and the channel watches it again, so
/// that it sees what comes now.
async fn mended(etcd: &EtcdServer, processes: &[Process], channel: &Channel) {
    let registered = join_all(processes.iter().map(Process::registered));
    within("all are registered", registered).await;
    let mut client = etcd.client().await;
    let prefix = etcd_client::GetOptions::new().with_prefix();
    let keys = client.get("user-service/", Some(prefix)).await.unwrap();
    assert_eq!(keys.count(), 3);
    all_ready(channel, 3).await;
    let mut newcomer = Process::prepare(60.0).await;
    newcomer.register(&config(etcd));
    all_ready(channel, 4).await;
    let had = newcomer.server.seen().total_calls();
    calls(&mut Client::new(channel.clone()), 60).await.unwrap();
    let has = newcomer.server.seen().total_calls();
    assert!(has - had >= 20, "{} calls to the newcomer", has - had);
}

#[tokio::test]
async fn an_etcd_that_comes_back_without_its_data_is_filled_again() {
    let Some(mut etcd) = EtcdServer::start().await else {
        return;
    };
    let processes = three(&etcd).await;
    let channel = channel(&etcd);
    all_ready(&channel, 3).await;
    let load = Load::start(&channel, 1);
    etcd.kill().await;
    let noticed = join_all(processes.iter().map(|process| process.until(is_retrying)));
    noticed.await;
    etcd.wipe();
    etcd.start_again().await;
    mended(&etcd, &processes, &channel).await;
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
}

#[tokio::test]
async fn servers_that_an_emptied_etcd_does_not_know_are_called_until_they_are_back() {
    let Some(mut etcd) = EtcdServer::start().await else {
        return;
    };
    let mut processes = three(&etcd).await;
    let channel = channel(&etcd);
    all_ready(&channel, 3).await;
    let load = Load::start(&channel, 1);
    etcd.kill().await;
    for process in &mut processes {
        process.end();
    }
    etcd.wipe();
    etcd.start_again().await;
    let newcomer = Process::start(&config(&etcd), 1.0).await;
    // Seen in the new etcd, beside those that are not there.
    all_ready(&channel, 4).await;
    let had = totals(&processes);
    load.pass(122).await;
    let has = totals(&processes);
    assert!(had.iter().zip(&has).all(|(had, has)| has > had), "{has:?}");
    for process in &mut processes {
        process.register(&config(&etcd));
        process.registered().await;
        assert_eq!(channel.endpoints().len(), 4);
    }
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
    drop(newcomer);
}

#[tokio::test]
async fn an_outage_of_etcd_for_30_seconds_costs_no_call_and_mends_itself() {
    // As long as 15 leases: all of them have expired when etcd comes back.
    outage(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_channel_that_starts_before_etcd_catches_up() {
    let Some(mut etcd) = EtcdServer::prepare() else {
        return;
    };
    let mut process = Process::prepare(1.0).await;
    process.register(&config(&etcd));
    let soon = EtcdConfig {
        report_after: Duration::from_millis(50),
        ..config(&etcd)
    };
    let builder = Channel::builder("etcd:///user-service").service_config(COURSE);
    let channel = builder.etcd(soon).backoff(quick()).build().unwrap();
    let mut client = Client::new(channel.clone());
    let status = call(&mut client).await.unwrap_err();
    assert!(status.message().contains("unavailable"), "{status}");
    etcd.start_again().await;
    all_ready(&channel, 1).await;
    calls(&mut client, 10).await.unwrap();
}
