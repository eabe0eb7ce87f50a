//! Dropping the last handle of a channel ends every task and closes every connection.

use std::future::poll_fn;
use std::task::Poll;

use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, UserServer, port, tasks, within};
use futures_util::StreamExt;

use crate::{COURSE, Client, ROUND_ROBIN, builder, call, calls, channel, list, servers};

async fn disconnected(servers: &[UserServer]) {
    for server in servers {
        let gone = server.wait_for("the connection closes", |seen| seen.connections == 0);
        gone.await;
    }
}

#[tokio::test]
async fn the_last_clone_ends_all_tasks_and_connections() {
    let servers = servers(3).await;
    let channel = channel(&servers, COURSE).await;
    let (mut one, mut other) = (Client::new(channel.clone()), Client::new(channel));
    calls(&mut one, 30).await.unwrap();
    drop(one);
    calls(&mut other, 30).await.unwrap();
    for server in &servers {
        assert_eq!(server.seen().connections, 1);
    }
    drop(other);
    tasks::at_most(0).await;
    disconnected(&servers).await;
}

#[tokio::test]
async fn a_channel_that_never_called_leaves_nothing() {
    let servers = servers(2).await;
    drop(channel(&servers, ROUND_ROBIN).await);
    tasks::at_most(0).await;
    disconnected(&servers).await;
    // Not even begun.
    drop(builder([servers[0].address()]).build().unwrap());
    tasks::at_most(0).await;
}

#[tokio::test]
async fn a_running_stream_finishes_and_then_nothing_is_left() {
    let servers = servers(2).await;
    for server in &servers {
        server.close_gate();
    }
    let mut client = Client::new(channel(&servers, COURSE).await);
    let users = list(&mut client, 10).await.into_inner();
    drop(client);
    for server in &servers {
        server.open_gate();
    }
    let users: Vec<_> = within("all users", users.collect()).await;
    assert_eq!(users.len(), 10);
    assert!(users.iter().all(Result::is_ok), "{users:?}");
    tasks::at_most(0).await;
    disconnected(&servers).await;
    let cancelled = servers.iter().map(|server| server.seen().cancelled);
    assert_eq!(cancelled.sum::<u64>(), 0);
}

#[tokio::test]
async fn a_call_on_the_wire_that_is_dropped_with_its_channel_is_reset() {
    let servers = servers(1).await;
    servers[0].behave(Behaviour::Hang);
    let mut client = Client::new(channel(&servers, COURSE).await);
    {
        let mut call = Box::pin(call(&mut client));
        let sent = servers[0].wait_for("the call", |seen| seen.in_flight == 1);
        tokio::select! {
            answer = &mut call => panic!("{answer:?}"),
            _ = sent => {}
        }
    }
    drop(client);
    let seen = servers[0].wait_for("the reset", |seen| seen.in_flight == 0);
    assert_eq!(seen.await.cancelled, 1);
    tasks::at_most(0).await;
    disconnected(&servers).await;
}

#[tokio::test]
async fn while_connecting_to_a_black_hole_a_queued_call_and_its_channel_leave_nothing() {
    let server = UserServer::start().await.unwrap();
    let hole = FaultProxy::start(server.socket_address()).await.unwrap();
    for policy in ["round_robin", "pick_first", "least_request"] {
        let accepted = hole.facts().accepted;
        hole.set(Fault::Pause).await;
        let channel = builder([hole.address()])
            .service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
            ))
            .build()
            .unwrap();
        let mut client = Client::new(channel.clone());
        let mut queued = Box::pin(client.get_by_id(GetByIdRequest::default()));
        let connecting = crate::until(&channel, "CONNECTING", |channel| {
            let endpoints = channel.endpoints();
            let mut states = endpoints.iter().map(|one| one.state);
            states.next() == Some(evenkeel::ConnectivityState::Connecting)
        });
        tokio::select! {
            answer = &mut queued => panic!("{answer:?}"),
            () = connecting => {}
        }
        drop(queued);
        drop((client, channel));
        tasks::at_most(0).await;

        // Whoever waits in the backlog has hung up.
        hole.set(Fault::Pass).await;
        hole.wait_for(|facts| facts.accepted > accepted && facts.open == 0)
            .await;
    }
    assert_eq!(server.seen().total_calls(), 0);
}

#[tokio::test]
async fn while_waiting_for_the_next_connection_attempt_nothing_is_left() {
    let dead = port::free().unwrap();
    let builder = builder([format!("127.0.0.1:{dead}")]).service_config(ROUND_ROBIN);
    let channel = builder.backoff(Default::default()).build().unwrap();
    call(&mut Client::new(channel.clone())).await.unwrap_err();
    assert!(tasks::alive() > 0);
    drop(channel);
    tasks::at_most(0).await;
}

#[tokio::test]
async fn a_queued_call_outlives_nothing_but_its_own_handle() {
    let mut server = UserServer::start().await.unwrap();
    server.kill().await;
    let config = crate::config("round_robin", r#""waitForReady": true"#);
    let channel = builder([server.address()]).service_config(config).build();
    let mut client = Client::new(channel.unwrap());
    let mut waiting = Box::pin(async move { call(&mut client).await });
    // It is all that is left of the channel, and keeps it alive.
    let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    server.restart().await.unwrap();
    within("the answer", waiting).await.unwrap();
    tasks::at_most(0).await;
    disconnected(std::slice::from_ref(&server)).await;
}
