//! Who holds a connection open, and what is left when nobody does.

use std::time::Duration;

use evenkeel_core::Endpoint;
use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{UserServer, tasks, within};
use evenkeel_transport::{CloseReason, Connect, Connection, Connector};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::join;

use crate::bodies::{Endless, post, request};
use crate::dial::Memory;
use crate::peer::{GOAWAY, Peer, Wire};
use crate::{closed, connect, connect_with};

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection_and_ends_its_task() {
    let server = UserServer::start().await.unwrap();
    let connected = connect(server.address()).await;
    let clone = connected.connection.clone();
    let mut client = crate::Client::new(connected.connection);
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    assert_eq!(tasks::alive(), 1);
    drop(client);
    assert_eq!(tasks::alive(), 1, "a clone is left");
    drop(clone);
    tasks::at_most(0).await;
    server
        .wait_for("the end", |seen| seen.connections == 0)
        .await;
    let reason = closed(connected.closed).await;
    assert!(matches!(reason, CloseReason::ClosedByUs), "{reason}");
    assert_eq!(reason.disconnect_error(), "subchannel shutdown");
}

#[tokio::test]
async fn a_response_holds_the_connection_open_until_its_end() {
    let server = UserServer::start().await.unwrap();
    server.close_gate();
    let mut client = crate::client(server.address()).await;
    let request = ListUsersRequest {
        from_id: 0,
        count: 10,
    };
    let users = client.list_users(request).await.unwrap().into_inner();
    drop(client);
    server.open_gate();
    assert_eq!(within("all users", users.count()).await, 10);
    tasks::at_most(0).await;
    server
        .wait_for("the end", |seen| seen.connections == 0)
        .await;
}

#[tokio::test]
async fn a_call_holds_the_connection_open_until_its_answer() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let call = connected.connection.send(post("hello"));
    drop(connected.connection);
    let (answer, ()) = join!(call, async {
        let id = wire.request().await;
        wire.head(id).await;
        wire.data(id, b"answer").await;
        wire.trailers(id).await;
    });
    let answer = answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "answer");
    let last = wire.rest().await.pop().unwrap();
    assert_eq!(last.kind, GOAWAY, "the connection is closed politely");
    tasks::at_most(0).await;
}

#[tokio::test]
async fn a_finished_response_that_is_kept_does_not_hold_the_connection() {
    let server = UserServer::start().await.unwrap();
    let mut client = crate::client(server.address()).await;
    let request = ListUsersRequest {
        from_id: 0,
        count: 1,
    };
    let mut users = client.list_users(request).await.unwrap().into_inner();
    while users.message().await.unwrap().is_some() {}
    drop(client);
    tasks::at_most(0).await;
    drop(users);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_cannot_keep_the_connection() {
    let (memory, mut sockets) = Memory::new(70_000);
    let connector = Connector::new().with_io(memory);
    let begin = async { Wire::begin(sockets.recv().await.unwrap(), &[]).await };
    let (connected, _wire) = join!(connect_with(&connector, Memory::address()), begin);
    // As much as the windows allow, which is more than the socket takes.
    let (body, _) = Endless::new(10_000);
    let call = connected.connection.send(request(body));
    let gave_up = tokio::time::timeout(Duration::from_secs(1), call).await;
    assert!(gave_up.is_err());
    drop(connected.connection);
    tasks::at_most(0).await;
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_the_connection() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let outer = runtime();
    let server = outer.block_on(UserServer::start()).unwrap();
    let inner = runtime();
    let connected = inner.block_on(connect(server.address()));
    drop(inner);
    outer.block_on(async {
        server
            .wait_for("the end", |seen| seen.connections == 0)
            .await;
        let reason = closed(connected.closed).await;
        assert!(matches!(reason, CloseReason::ClosedByUs), "{reason}");
        let status = connected.connection.send(post("late")).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
    });
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_what_it_has_opened() {
    let peer = Peer::listen().await;
    let endpoint = Endpoint::new(peer.address());
    let mut attempt = Connector::new().connect(&endpoint.addresses()[0], &endpoint);
    let mut stream = tokio::select! {
        _ = &mut attempt => unreachable!("no SETTINGS were sent"),
        stream = peer.accept_silently() => stream,
    };
    drop(attempt);
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    // A reset is an end as well.
    let _ = within("the end", read).await;
    assert_eq!(tasks::alive(), 0);
}
