//! Flow control: memory stays bounded, nothing stalls, nothing is lost.

use bytes::Bytes;
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest, ListUsersRequest, User};
use evenkeel_testkit::{UserServer, within};
use evenkeel_transport::{Connection, Connector, Http2Config};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use tokio::join;

use crate::bodies::{Endless, post, request};
use crate::peer::{DATA, Frame, HEADERS, Peer, WINDOW_UPDATE, Wire, frame};
use crate::{client, connect, connect_with};

const LARGE: usize = 64 << 20;

/// A peer's windows when it says nothing.
const WINDOW: usize = 65_535;

#[tokio::test]
async fn a_large_message_arrives_in_one_piece_from_either_side() {
    let server = UserServer::start().await.unwrap();
    let client = client(server.address()).await;
    let mut client = client
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);

    let large = ImportUsersRequest {
        user: Some(User {
            avatar: "x".repeat(LARGE),
            ..User::default()
        }),
    };
    let small = ImportUsersRequest::default();
    let import = client.import_users(tokio_stream::iter([large, small]));
    let response = within("the upload", import).await.unwrap();
    assert_eq!(response.into_inner().stored, 2);

    server.set_avatar_len(LARGE);
    let get = client.get_by_id(GetByIdRequest { id: 1 });
    let response = within("the download", get).await.unwrap();
    assert_eq!(response.into_inner().user.unwrap().avatar.len(), LARGE);
}

#[tokio::test]
async fn a_large_message_leaves_in_pieces_of_the_peers_window() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let serve = async {
        let mut received = 0;
        loop {
            let data = wire.next(DATA).await;
            assert!(data.payload.len() <= 16 << 10, "the smallest frame size");
            received += data.payload.len();
            if data.ends_stream() {
                wire.respond(data.stream).await;
                return received;
            }
            let bytes = data.payload.len() as u32;
            wire.window(data.stream, bytes).await;
        }
    };
    let (response, received) = join!(
        connected.connection.send(post(vec![7; LARGE / 8])),
        within("the upload", serve)
    );
    assert_eq!(received, LARGE / 8);
    assert!(response.is_ok());
}

#[tokio::test]
async fn a_small_message_is_one_frame_that_ends_the_stream() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let serve = async {
        let head = wire.next(HEADERS).await;
        let data: Frame = wire.read().await.unwrap();
        assert_eq!((data.kind, &data.payload[..]), (DATA, &b"hello"[..]));
        assert!(data.ends_stream(), "no empty frame follows");
        wire.respond(head.stream).await;
    };
    let (response, ()) = join!(connected.connection.send(post("hello")), serve);
    assert!(response.is_ok());
}

#[tokio::test]
async fn a_request_without_a_body_ends_with_its_head() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let serve = async {
        let head = wire.next(HEADERS).await;
        assert!(head.ends_stream());
        wire.respond(head.stream).await;
    };
    let empty = http_body_util::Empty::<Bytes>::new();
    let (response, ()) = join!(connected.connection.send(request(empty)), serve);
    assert!(response.is_ok());
}

#[tokio::test]
async fn request_trailers_are_sent() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let serve = async {
        let head = wire.next(HEADERS).await;
        let data = wire.next(DATA).await;
        assert!(!data.ends_stream());
        let trailers = wire.next(HEADERS).await;
        assert!(trailers.ends_stream() && trailers.stream == head.stream);
        wire.respond(head.stream).await;
    };
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("42"));
    let body = http_body_util::Full::new(Bytes::from("hello"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let call = connected.connection.send(request(body));
    let (response, ()) = join!(call, serve);
    assert!(response.is_ok());
}

#[tokio::test]
async fn a_peer_that_stops_reading_stops_the_body_and_then_it_goes_on() {
    const FRAME: usize = 10_000;
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let (body, watch) = Endless::new(FRAME);
    let serve = async {
        let mut received = 0;
        while received < WINDOW {
            received += wire.next(DATA).await.payload.len();
        }
        assert_eq!(received, WINDOW, "not one byte above the window");
        // Several rounds of the client's task without a byte of window.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let taken = watch.bytes_taken();
        assert!(taken <= 3 * WINDOW, "{taken} bytes wait in memory");

        watch.stop();
        let id = 1;
        wire.window(id, 10 * WINDOW as u32).await;
        loop {
            let data = wire.next(DATA).await;
            received += data.payload.len();
            if data.ends_stream() {
                break;
            }
        }
        wire.respond(id).await;
        received
    };
    let (response, received) = join!(connected.connection.send(request(body)), serve);
    assert!(response.is_ok());
    assert_eq!(received, watch.bytes_taken(), "nothing is lost");
}

#[tokio::test]
async fn a_real_server_that_stops_reading_stops_the_caller() {
    let server = UserServer::start().await.unwrap();
    server.close_gate();
    let mut client = client(server.address()).await;
    let message = ImportUsersRequest {
        user: Some(User {
            avatar: "x".repeat(64 << 10),
            ..User::default()
        }),
    };
    let (count, made) = tokio::sync::watch::channel(0_u32);
    let stream = tokio_stream::iter(0..1_000).map(move |_| {
        count.send_modify(|count| *count += 1);
        message.clone()
    });
    let ahead = async {
        for read in 1..1_000 {
            server
                .wait_for("a message", |seen| seen.messages_in == read)
                .await;
            // hyper's server has windows of 1 MiB; what is beyond them must not be made.
            let made = u64::from(*made.borrow());
            assert!(made < read + 32, "{made} made, {read} read");
            server.let_through(1);
        }
        server.open_gate();
    };
    let (response, ()) = join!(within("the answer", client.import_users(stream)), ahead);
    assert_eq!(response.unwrap().into_inner().stored, 1_000);
}

#[tokio::test]
async fn small_unread_responses_do_not_harm_the_connection() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let mut unread = Vec::new();
    for _ in 0..150 {
        let request = ListUsersRequest {
            from_id: 0,
            count: 40,
        };
        unread.push(client.list_users(request).await.unwrap().into_inner());
    }
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    for users in unread {
        assert_eq!(within("all users", users.count()).await, 40);
    }
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn a_slow_reader_of_tiny_frames_does_not_harm_the_other_calls() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let connection = connected.connection;
    let tiny = |id| frame(DATA, 0, id, b"tiny").repeat(50_000);
    let (slow, ()) = join!(connection.send(post("slow")), async {
        let id = wire.request().await;
        wire.head(id).await;
        wire.write_raw(&tiny(id)).await;
    });
    let slow = slow.unwrap();
    let (answer, ()) = join!(connection.send(post("other")), async {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.is_ok());
    let ((), slow) = join!(wire.trailers(1), slow.into_body().collect());
    assert_eq!(slow.unwrap().to_bytes().len(), 4 * 50_000);
}

#[tokio::test]
async fn readers_that_wait_give_back_what_they_have_read() {
    let peer = Peer::listen().await;
    let mut http2 = Http2Config::default();
    http2.connection_window = WINDOW as u32;
    let connector = Connector::new().with_http2(http2);
    let (connected, mut wire) = join!(connect_with(&connector, peer.address()), peer.accept());
    let connection = connected.connection;
    // Each stream gets little, all together four times the connection's window.
    let mut open = Vec::new();
    for _ in 0..64 {
        let (response, id) = join!(connection.send(post("hello")), async {
            let id = wire.request().await;
            wire.head(id).await;
            id
        });
        let mut body = response.unwrap().into_body();
        wire.data(id, &[7; 4_096]).await;
        let data = within("the data", body.frame()).await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap().len(), 4_096);
        // It waits for more, and will not get it.
        assert!(body.frame().now_or_never().is_none());
        open.push(body);
    }
}

#[tokio::test]
async fn calls_that_are_given_up_do_not_add_up() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let connection = connected.connection;
    for _ in 0..20 {
        let calls = (0..100).map(|_| connection.send(post("hello")));
        let ids = tokio::select! {
            _ = join_all(calls) => unreachable!("nobody answers"),
            ids = wire.requests(100) => ids,
        };
        // Answers to calls that nobody waits for any more.
        for id in ids {
            wire.head(id).await;
            wire.data(id, b"late").await;
            wire.trailers(id).await;
        }
    }
    let (answer, ()) = join!(within("an answer", connection.send(post("last"))), async {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.is_ok());
}

#[tokio::test]
async fn windows_and_limits_reach_the_peer() {
    let mut http2 = Http2Config::default();
    http2.stream_window = 123_456;
    http2.connection_window = 234_567;
    http2.max_frame_size = 1;
    http2.max_header_list_size = 4_321;
    let peer = Peer::listen().await;
    let connector = Connector::new().with_http2(http2);
    let (connected, mut wire): (_, Wire) =
        join!(connect_with(&connector, peer.address()), peer.accept());
    let settings = wire.next(crate::peer::SETTINGS).await.payload;
    let value = |id: u16| {
        let setting = settings.chunks(6).find(|it| it[..2] == id.to_be_bytes());
        u32::from_be_bytes(setting.unwrap()[2..].try_into().unwrap())
    };
    assert_eq!(value(0x2), 0, "no push");
    assert_eq!(value(0x4), 123_456);
    assert_eq!(value(0x5), 16_384, "the nearest bound");
    assert_eq!(value(0x6), 4_321);
    let update = wire.next(WINDOW_UPDATE).await;
    assert_eq!(update.stream, 0);
    assert_eq!(update.payload[..], (234_567_u32 - 65_535).to_be_bytes());
    drop(connected);
}
