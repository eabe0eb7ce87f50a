//! Servers that send GOAWAY: what runs finishes, what is new goes out on a new connection.

use evenkeel::ConnectivityState;
use evenkeel_testkit::{UserServer, within};
use futures_util::StreamExt;

use crate::load::Load;
use crate::{
    Client, ROUND_ROBIN, all_ready, builder, calls, channel, list, servers, shares, until,
};

#[tokio::test]
async fn an_open_stream_finishes_and_the_next_call_takes_a_new_connection() {
    let mut server = UserServer::start().await.unwrap();
    server.close_gate();
    let channel = builder([server.address()]).build().unwrap();
    let mut client = Client::new(channel.clone());
    let users = list(&mut client, 10).await.into_inner();
    let mut ids = users.map(|user| user.map(|user| user.user.unwrap().id));
    server.let_through(3);
    for id in 1..=3 {
        let next = within("a user", ids.next()).await;
        assert_eq!(next.unwrap().unwrap(), id);
    }

    server.go_away().await.unwrap();
    let left = channel.wait_for_state_change(ConnectivityState::Ready);
    assert_eq!(within("GOAWAY", left).await, ConnectivityState::Idle);
    calls(&mut client, 10).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen.accepted, seen.connections), (2, 2));
    assert_eq!(seen.in_flight, 1, "the stream goes on");

    server.open_gate();
    let rest: Vec<_> = within("the rest", ids.collect()).await;
    let rest: Vec<_> = rest.into_iter().map(Result::unwrap).collect();
    assert_eq!(rest, [4, 5, 6, 7, 8, 9, 10]);
    let seen = server
        .wait_for("the old connection closes", |seen| seen.connections == 1)
        .await;
    assert_eq!(
        (seen.accepted, seen.cancelled, seen.total_calls()),
        (2, 0, 11)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goaway_after_goaway_under_load_loses_no_call_without_a_retry_policy() {
    let mut servers = servers(3).await;
    let channel = channel(&servers, ROUND_ROBIN).await;
    let load = Load::start(&channel, 8);
    for round in 0..30 {
        load.pass(50).await;
        let server = &mut servers[round % 3];
        let accepted = server.seen().accepted;
        server.go_away().await.unwrap();
        let again = server.wait_for("a new connection", |seen| seen.accepted > accepted);
        again.await;
        all_ready(&channel, 3).await;
    }
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
    assert_eq!(shares(&servers).iter().sum::<u64>(), done, "each call once");
    for server in &servers {
        let seen = server.seen();
        assert_eq!((seen.cancelled, seen.retries()), (0, 0));
        assert!(seen.accepted >= 11);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shuts_down_gracefully_finishes_its_calls_and_gets_no_more() {
    let mut servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN).await;
    let mut client = Client::new(channel.clone());
    let mut streams = Vec::new();
    for server in &servers {
        server.close_gate();
        streams.push(list(&mut client, 5).await.into_inner());
    }
    let load = Load::start(&channel, 4);
    load.pass(100).await;

    let leaving = &mut servers[0];
    let gone = until(&channel, "GOAWAY", |channel| {
        channel.endpoints()[0].state != ConnectivityState::Ready
    });
    tokio::select! {
        // Cancel safe: it goes on leaving.
        () = leaving.shut_down() => panic!("it has an open stream"),
        () = gone => {}
    }
    load.pass(100).await;
    let had = leaving.seen().total_calls();
    load.pass(100).await;
    assert_eq!(leaving.seen().total_calls(), had, "no new calls");

    for server in &servers {
        server.open_gate();
    }
    for stream in streams {
        let users: Vec<_> = within("the rest", stream.collect()).await;
        assert_eq!(users.len(), 5);
        assert!(users.iter().all(Result::is_ok), "{users:?}");
    }
    within("its end", servers[0].shut_down()).await;
    let (_, failures) = load.stop().await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(servers[0].seen().cancelled, 0);
}
