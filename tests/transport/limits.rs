//! MAX_CONCURRENT_STREAMS: calls wait for a stream, and all get one. Settings at their ends.

use std::future::poll_fn;
use std::time::Duration;

use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{UserServer, within};
use evenkeel_transport::{Connection, Connector, Http2Config};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::join;

use crate::bodies::post;
use crate::peer::{MAX_CONCURRENT_STREAMS, Peer, RST_STREAM};
use crate::{client, connect, connect_with};

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
async fn the_streams_that_a_server_allows_and_those_that_are_open_are_known() {
    let peer = Peer::listen().await;
    let one = [(MAX_CONCURRENT_STREAMS, 1)];
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept_with(&one));
    let connection = connected.connection;
    assert_eq!(connection.max_concurrent_streams(), 1);
    assert_eq!(connection.open_streams(), Some(0));
    let call = connection.send(post("hello"));
    assert_eq!(connection.open_streams(), Some(1));
    let changed = poll_fn(|cx| connection.poll_max_concurrent_streams(1, cx));
    let changed = within("another limit", changed);
    let serve = async {
        let id = wire.request().await;
        wire.respond(id).await;
        wire.settings(&[(MAX_CONCURRENT_STREAMS, 7)]).await;
    };
    let (answer, limit, ()) = join!(call, changed, serve);
    assert_eq!(limit, 7);
    assert_eq!(connection.max_concurrent_streams(), 7);
    drop(answer.unwrap());
    assert_eq!(connection.open_streams(), Some(0));
}

#[tokio::test]
async fn a_server_that_sets_no_limit_allows_any_number_of_streams() {
    let peer = Peer::listen().await;
    let (connected, _wire) = join!(connect(peer.address()), peer.accept_with(&[]));
    assert_eq!(connected.connection.max_concurrent_streams(), usize::MAX);
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

#[tokio::test]
async fn a_setting_at_either_end_of_its_type_still_connects_and_calls() {
    type Set = fn(&mut Http2Config, bool);
    let server = UserServer::start().await.unwrap();
    let least_and_most: [(&str, Set); 8] = [
        ("no change", |_, _| ()),
        ("stream_window", |it, most| it.stream_window = size(most)),
        ("connection_window", |it, most| {
            it.connection_window = size(most);
        }),
        ("max_frame_size", |it, most| it.max_frame_size = size(most)),
        ("max_header_list_size", |it, most| {
            it.max_header_list_size = size(most);
        }),
        ("send_buffer", |it, most| {
            it.send_buffer = if most { usize::MAX } else { 0 };
        }),
        ("keepalive_time", |it, most| {
            it.keepalive_time = Some(time(most));
            it.keepalive_permit_without_calls = true;
        }),
        ("keepalive_timeout", |it, most| {
            it.keepalive_time = Some(Duration::from_secs(60));
            it.keepalive_timeout = time(most);
        }),
    ];
    for (name, set) in least_and_most {
        for most in [false, true] {
            let mut http2 = Http2Config::default();
            set(&mut http2, most);
            let connector = Connector::new()
                .with_http2(http2)
                .with_tcp_keepalive(time(most));
            let connected = connect_with(&connector, server.address()).await;
            let mut client = crate::Client::new(connected.connection);
            for id in 1..=3 {
                let answer = client.get_by_id(GetByIdRequest { id }).await;
                answer.unwrap_or_else(|status| panic!("{name}, {most}: {status}"));
            }
        }
    }
}

const fn size(most: bool) -> u32 {
    if most { u32::MAX } else { 0 }
}

const fn time(most: bool) -> Duration {
    if most { Duration::MAX } else { Duration::ZERO }
}
