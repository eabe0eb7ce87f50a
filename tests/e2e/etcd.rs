//! Servers that register themselves in etcd, and a channel that finds them there.
//!
//! Without etcd on the machine every test is reported as skipped, by name.

mod kill;
mod outage;

use std::time::Duration;

use evenkeel::etcd::EtcdConfig;
use evenkeel::{Availability, Channel, Metadata};
use evenkeel_testkit::pb::SyncUsersRequest;
use evenkeel_testkit::{EtcdServer, tasks, within};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use crate::{COURSE, Client, all_ready, call, calls, list, served_by, until};
use evenkeel_tests::Process;

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
        processes.push(Process::start(&config(etcd), weight).await);
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
async fn a_new_server_gets_calls_within_a_second_of_registering() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let _first = Process::start(&config(&etcd), 1.0).await;
    let channel = channel(&etcd);
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel);
    for _ in 0..3 {
        let mut new = Process::prepare(1.0).await;
        // From before it is written to its first call: the second that the issue allows.
        let name = new.server.name().to_owned();
        let called = async {
            new.register(&config(&etcd));
            called_at(&mut client, &name).await;
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
        Process::start(&config(&etcd), 1.0).await,
        Process::start(&config(&etcd), 1.0).await,
    ];
    let channel = channel(&etcd);
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    let leaving = &processes[0];
    leaving.server.close_gate();

    // Both kinds of streams, at the server that will leave.
    let name = leaving.server.name();
    let users = loop {
        let users = list(&mut client, 10).await;
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
    within("a call", called_at(&mut client, name)).await;
}

/// Calls until `name` answers.
async fn called_at(client: &mut Client, name: &str) {
    while call(client).await.unwrap() != name {}
}

#[tokio::test]
async fn the_last_handle_of_a_channel_ends_its_watch_too() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let process = Process::start(&config(&etcd), 1.0).await;
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
