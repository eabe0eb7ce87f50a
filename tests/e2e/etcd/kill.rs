//! Servers that are killed, and come back, while calls are running.

use evenkeel::ConnectivityState;
use evenkeel_testkit::{Behaviour, EtcdServer};

use super::{channel, config, three};
use crate::load::Load;
use crate::{all_ready, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    processes[2].restart(&config(&etcd)).await;
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
    processes[1].restart(&config(&etcd)).await;
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
