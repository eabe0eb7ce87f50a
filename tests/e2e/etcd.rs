//! Servers that register themselves in etcd, and a channel that finds them there.
//!
//! Without etcd on the machine every test is reported as skipped, by name.

mod process;

use std::time::Duration;

use evenkeel::discover::RegistrationState;
use evenkeel::etcd::EtcdConfig;
use evenkeel::{Availability, Channel, ConnectivityState, Metadata};
use evenkeel_testkit::pb::SyncUsersRequest;
use evenkeel_testkit::{Behaviour, EtcdServer, tasks, within};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::load::Load;
use crate::{COURSE, Client, all_ready, call, calls, list, quick, served_by, until};
use process::{Process, TTL};

fn config(etcd: &EtcdServer) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![etcd.endpoint()],
        ..EtcdConfig::default()
    }
}

/// A channel as the course has it, with nothing set but where etcd is.
fn channel(etcd: &EtcdServer) -> Channel {
    let builder = Channel::builder("etcd:///user-service").service_config(COURSE);
    builder.etcd(config(etcd)).build().unwrap()
}

/// Servers with weights 10, 20, 30.
async fn three(etcd: &EtcdServer) -> Vec<Process> {
    let mut processes = Vec::new();
    for weight in [10.0, 20.0, 30.0] {
        processes.push(Process::start(etcd, weight).await);
    }
    processes
}

fn totals(processes: &[Process]) -> Vec<u64> {
    let seen = processes.iter().map(|process| process.server.seen());
    seen.map(|seen| seen.total_calls()).collect()
}

#[tokio::test]
async fn weights_registered_in_etcd_are_exact_shares() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let processes = three(&etcd).await;
    let channel = channel(&etcd);
    all_ready(&channel, 3).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 60).await.unwrap();
    assert_eq!(totals(&processes), [10, 20, 30]);

    processes[0].update(Metadata::default().with_weight(50.0));
    until(&channel, "the new weight", |channel| {
        let endpoints = channel.endpoints();
        let mut weights = endpoints.iter().map(|one| one.endpoint.metadata().weight);
        weights.any(|weight| weight == Some(50.0))
    })
    .await;
    let before = totals(&processes);
    calls(&mut client, 100).await.unwrap();
    let after = totals(&processes).into_iter();
    let shares: Vec<_> = after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(shares, [50, 20, 30]);
}

#[tokio::test]
async fn killing_and_restarting_servers_under_load_fails_none_of_10_000_calls() {
    const CALLERS: usize = 8;
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut processes = three(&etcd).await;
    let channel = channel(&etcd);
    all_ready(&channel, 3).await;
    let load = Load::start(&channel, CALLERS);
    load.pass(500).await;

    // The kill finds a call of every caller at the victim.
    processes[2].server.behave(Behaviour::Hang);
    let caught = processes[2]
        .server
        .wait_for("all callers", |seen| seen.in_flight == CALLERS);
    caught.await;
    let before = load.done();
    processes[2].kill().await;
    processes[2].server.behave(Behaviour::Answer);
    load.pass(1_000).await;
    let second_attempts: u64 = processes[..2]
        .iter()
        .map(|process| process.server.seen().previous_attempts[1])
        .sum();
    assert_eq!(second_attempts, CALLERS as u64, "each went on elsewhere");
    assert_eq!(processes[2].server.seen().retries(), 0);

    // Nobody renews its lease: etcd forgets it, and then the channel does.
    until(&channel, "its entry expires", |it| {
        it.endpoints().len() == 2
    })
    .await;
    load.pass(500).await;
    processes[2].restart(&etcd).await;
    all_ready(&channel, 3).await;
    let had = processes[2].server.seen().total_calls();
    let again = processes[2]
        .server
        .wait_for("its share", |seen| seen.total_calls() >= had + 100);
    again.await;

    // Another one comes back before etcd forgets it.
    processes[1].kill().await;
    until(&channel, "the loss is seen", |channel| {
        let state = crate::state_of(channel, &processes[1].server).map(|(state, _)| state);
        state != Some(ConnectivityState::Ready)
    })
    .await;
    load.pass(500).await;
    processes[1].restart(&etcd).await;
    all_ready(&channel, 3).await;
    while load.done() - before < 10_000 {
        load.pass(500).await;
    }

    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
    assert!(done - before >= 10_000);
}

#[tokio::test]
async fn a_new_server_gets_calls_within_a_second_of_registering() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let _first = Process::start(&etcd, 1.0).await;
    let channel = channel(&etcd);
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel);
    for _ in 0..3 {
        let mut new = Process::prepare(1.0).await;
        // From before it is written to its first call: the second that the issue allows.
        let name = new.server.name().to_owned();
        let called = async {
            new.register(&etcd);
            while call(&mut client).await.unwrap() != name {}
        };
        let called = timeout(Duration::from_secs(1), called).await;
        called.expect("it is called within a second");
    }
}

#[tokio::test]
async fn a_draining_server_gets_no_new_call_after_a_second_while_its_streams_finish() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let processes = [
        Process::start(&etcd, 1.0).await,
        Process::start(&etcd, 1.0).await,
    ];
    let channel = channel(&etcd);
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    let leaving = &processes[0];
    leaving.server.close_gate();

    // Both kinds of streams, at the server that will leave.
    let name = leaving.server.name();
    let users = loop {
        let users = client.list_users(list(10)).await.unwrap();
        if served_by(&users) == name {
            break users.into_inner();
        }
    };
    let (say, mut echo) = loop {
        let (say, said) = mpsc::channel(1);
        let sync = client.sync_users(ReceiverStream::new(said)).await.unwrap();
        if served_by(&sync) == name {
            break (say, sync.into_inner());
        }
    };

    leaving.update(Metadata::default().with_availability(Availability::Draining));
    let seen = async {
        until(&channel, "it is draining", |channel| {
            let endpoints = channel.endpoints();
            let mut states = endpoints
                .iter()
                .map(|one| one.endpoint.metadata().availability);
            states.any(|availability| availability == Availability::Draining)
        })
        .await;
    };
    let seen = timeout(Duration::from_secs(1), seen).await;
    seen.expect("it is seen within a second");
    let had = leaving.server.seen().total_calls();
    for _ in 0..200 {
        assert_ne!(call(&mut client).await.unwrap(), name);
    }
    assert_eq!(leaving.server.seen().total_calls(), had);

    leaving.server.open_gate();
    let users: Vec<_> = within("all users", users.collect()).await;
    assert_eq!(users.len(), 10);
    assert!(users.iter().all(Result::is_ok), "{users:?}");
    for _ in 0..10 {
        say.send(SyncUsersRequest::default()).await.unwrap();
        within("an echo", echo.message()).await.unwrap().unwrap();
    }
    drop(say);
    assert!(within("the end", echo.message()).await.unwrap().is_none());
    let seen = leaving.server.seen();
    assert_eq!((seen.in_flight, seen.cancelled), (0, 0));

    // It may also change its mind.
    leaving.update(Metadata::default());
    while call(&mut client).await.unwrap() != name {}
}

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
    newcomer.register(etcd);
    all_ready(channel, 4).await;
    let had = newcomer.server.seen().total_calls();
    calls(&mut Client::new(channel.clone()), 60).await.unwrap();
    let has = newcomer.server.seen().total_calls();
    assert!(has - had >= 20, "{} calls to the newcomer", has - had);
}

#[tokio::test]
async fn an_outage_of_etcd_for_three_leases_costs_no_call_and_mends_itself() {
    outage(3 * TTL).await;
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
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
    etcd.wipe();
    etcd.start_again().await;
    mended(&etcd, &processes, &channel).await;
}

#[tokio::test]
#[ignore = "half a minute; the same with 6 s is always run"]
async fn an_outage_of_etcd_for_30_seconds_costs_no_call_and_mends_itself() {
    outage(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_channel_that_starts_before_etcd_catches_up() {
    let Some(mut etcd) = EtcdServer::prepare() else {
        return;
    };
    let mut process = Process::prepare(1.0).await;
    process.register(&etcd);
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

#[tokio::test]
async fn the_last_handle_of_a_channel_ends_its_watch_too() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let process = Process::start(&etcd, 1.0).await;
    let channel = channel(&etcd);
    all_ready(&channel, 1).await;
    calls(&mut Client::new(channel.clone()), 10).await.unwrap();
    drop(channel);
    tasks::at_most(0).await;
    process
        .server
        .wait_for("the connection closes", |seen| seen.connections == 0)
        .await;
}
