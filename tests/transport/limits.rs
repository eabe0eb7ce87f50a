//! MAX_CONCURRENT_STREAMS: calls wait for a stream, and all get one.

use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{UserServer, within};
use evenkeel_transport::Connection;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::join;

use crate::bodies::post;
use crate::peer::{MAX_CONCURRENT_STREAMS, Peer, RST_STREAM};
use crate::{client, connect};

#[tokio::test]
async fn calls_queue_for_the_only_stream_and_all_finish() {
    let one = UserServer::builder().max_concurrent_streams(1);
    let server = one.start().await.unwrap();
    let client = client(server.address()).await;
    let calls = (0..100).map(|id| {
        let mut client = client.clone();
        async move { client.get_by_id(GetByIdRequest { id }).await }
    });
    for answer in within("all answers", join_all(calls)).await {
        answer.unwrap();
    }
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn an_answer_that_nobody_has_read_yet_does_not_occupy_the_stream() {
    let one = UserServer::builder().max_concurrent_streams(1);
    let server = one.start().await.unwrap();
    let mut client = client(server.address()).await;
    let request = ListUsersRequest {
        from_id: 0,
        count: 10,
    };
    let users = client.list_users(request).await.unwrap().into_inner();
    let other = client.get_by_id(GetByIdRequest { id: 1 });
    within("the other call", other).await.unwrap();
    assert_eq!(users.count().await, 10);
}

#[tokio::test]
async fn a_server_may_open_its_streams_later() {
    let peer = Peer::listen().await;
    let none = [(MAX_CONCURRENT_STREAMS, 0)];
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept_with(&none));
    let serve = async {
        wire.settings(&[(MAX_CONCURRENT_STREAMS, 10)]).await;
        let id = wire.request().await;
        wire.respond(id).await;
    };
    let call = connected.connection.send(post("hello"));
    let (answer, ()) = join!(within("the answer", call), serve);
    assert!(answer.is_ok());
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_lets_the_others_pass() {
    let peer = Peer::listen().await;
    let one = [(MAX_CONCURRENT_STREAMS, 1)];
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept_with(&one));
    let connection = connected.connection;
    let mut first = Box::pin(connection.send(post("first")));
    let id = tokio::select! {
        _ = &mut first => unreachable!("nobody answers"),
        id = wire.request() => id,
    };
    let mut waiting = Box::pin(connection.send(post("waiting")));
    let mut last = Box::pin(connection.send(post("last")));
    assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
    assert!(futures_util::FutureExt::now_or_never(&mut last).is_none());
    drop(waiting);
    let serve = async {
        wire.respond(id).await;
        wire.next(RST_STREAM).await;
        let id = wire.request().await;
        wire.respond(id).await;
    };
    let (first, last, ()) = within("both answers", async { join!(first, last, serve) }).await;
    assert!(first.is_ok() && last.is_ok());
}
