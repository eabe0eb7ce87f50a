//! How each failure of a call leaves: code, progress, and what the peer sees.

use bytes::Bytes;
use evenkeel_core::Progress;
use evenkeel_core::error::{AttemptError, cause};
use evenkeel_testkit::{UserServer, eventually, within};
use evenkeel_transport::{CloseReason, Connection, Http2Connection, ResponseBody, StreamReset};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::join;
use tonic::{Code, Status};

use crate::bodies::{Endless, Silent, post, progress, request};
use crate::peer::{DATA, HEADERS, Peer, RST_STREAM, Wire};
use crate::{closed, connect};

const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

async fn pair(peer: &Peer) -> (Http2Connection, Wire) {
    let (connected, wire) = join!(connect(peer.address()), peer.accept());
    (connected.connection, wire)
}

/// Sends a request and has the peer do something with its stream.
async fn call(
    connection: &Http2Connection,
    peer: impl AsyncFnOnce(),
) -> Result<http::Response<ResponseBody>, Status> {
    let (result, ()) = join!(within("a result", connection.send(post("hello"))), peer());
    result
}

#[tokio::test]
async fn a_reset_maps_to_its_code_and_only_a_refused_stream_was_not_processed() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    for (reset, code, how_far) in [
        (REFUSED_STREAM, Code::Unavailable, Progress::Refused),
        (CANCEL, Code::Cancelled, Progress::Sent),
        (11, Code::ResourceExhausted, Progress::Sent),
        (12, Code::PermissionDenied, Progress::Sent),
        (0, Code::Internal, Progress::Sent),
        (1, Code::Internal, Progress::Sent),
        (2, Code::Internal, Progress::Sent),
        (13, Code::Internal, Progress::Sent),
        (99, Code::Internal, Progress::Sent),
    ] {
        let status = call(&connection, async || {
            let id = wire.request().await;
            wire.reset(id, reset).await;
        })
        .await
        .unwrap_err();
        assert_eq!(
            (status.code(), progress(&status)),
            (code, how_far),
            "{reset}"
        );
        assert_eq!(cause::<StreamReset>(&status).unwrap().code.0, reset);
    }
    let answer = call(&connection, async || {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.await.is_ok(), "the connection is not harmed");
}

#[tokio::test]
async fn a_reset_after_the_head_fails_the_body() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    for (reset, code) in [
        (REFUSED_STREAM, Code::Unavailable),
        (CANCEL, Code::Cancelled),
        (2, Code::Internal),
    ] {
        let response = call(&connection, async || {
            let id = wire.request().await;
            wire.head(id).await;
            wire.data(id, b"part").await;
            wire.reset(id, reset).await;
        });
        let status = response.await.unwrap().into_body().collect().await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(progress(&status), Progress::Sent, "the server had begun");
    }
}

#[tokio::test]
async fn a_connection_cut_before_the_response_is_unavailable_and_may_have_been_seen() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let status = call(&connection, async || {
        wire.request().await;
        drop(wire);
    })
    .await
    .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
    assert!(cause::<CloseReason>(&status).is_some());
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_response_is_unavailable() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let response = call(&connection, async || {
        let id = wire.request().await;
        wire.head(id).await;
        wire.data(id, b"part").await;
    });
    let mut body = response.await.unwrap().into_body();
    let first = within("the part", body.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "part");
    drop(wire);
    let status = within("the failure", body.frame()).await.unwrap();
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
    assert!(status.message().contains("connection"), "{status}");
    assert!(body.frame().await.is_none(), "one failure, then the end");
}

#[tokio::test]
async fn a_killed_server_is_unavailable() {
    let mut server = UserServer::start().await.unwrap();
    server.behave(evenkeel_testkit::Behaviour::Hang);
    let connected = connect(server.address()).await;
    let mut client = crate::Client::new(connected.connection);
    let call = client.get_by_id(evenkeel_testkit::pb::GetByIdRequest { id: 1 });
    let kill = async {
        server
            .wait_for("the call", |seen| seen.in_flight == 1)
            .await;
        server.kill().await;
    };
    let (status, ()) = join!(within("the failure", call), kill);
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(progress(&status), Progress::Sent);
    closed(connected.closed).await;
}

#[tokio::test]
async fn a_request_to_a_lost_connection_comes_back_whole() {
    let peer = Peer::listen().await;
    let (connected, wire) = join!(connect(peer.address()), peer.accept());
    drop(wire);
    closed(connected.closed).await;
    let status = connected.connection.send(post("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let error = cause::<AttemptError>(&status).unwrap();
    assert_eq!(error.progress(), Progress::NotSent);
    let request = error.take_request::<Full<Bytes>>().unwrap();
    assert_eq!(request.uri(), "/test/Call", "as it was given");
    assert!(request.headers().is_empty());
    let body = request.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn a_call_that_waits_for_a_stream_was_not_sent_when_the_connection_is_lost() {
    let peer = Peer::listen().await;
    let one = [(crate::peer::MAX_CONCURRENT_STREAMS, 1)];
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept_with(&one));
    let connection = connected.connection;
    let cut = async {
        // The second request waits for the first, which will not be answered.
        wire.request().await;
        drop(wire);
    };
    let (first, second, ()) = join!(
        connection.send(post("first")),
        connection.send(post("second")),
        cut
    );
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert_eq!(first.code(), Code::Unavailable);
    assert_eq!(progress(&first), Progress::Sent);
    assert_eq!(second.code(), Code::Unavailable);
    assert_eq!(progress(&second), Progress::NotSent);
}

#[tokio::test]
async fn a_call_the_server_has_seen_was_sent_whatever_an_older_call_writes_after_it() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<_, Status>>(1);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    let serve = async {
        assert_eq!(wire.next(HEADERS).await.stream, 1);
        let newer = connection.send(post("newer"));
        let cut = async {
            assert_eq!(wire.request().await, 3);
            let trailers = http::HeaderMap::from_iter([(
                http::HeaderName::from_static("checksum"),
                http::HeaderValue::from_static("1"),
            )]);
            send.send(Ok(Frame::trailers(trailers))).await.unwrap();
            let last = wire.next(HEADERS).await;
            assert!(last.stream == 1 && last.ends_stream());
            drop(wire);
        };
        join!(newer, cut).0
    };
    let (older, newer) = join!(connection.send(request(body)), serve);
    for status in [older.unwrap_err(), newer.unwrap_err()] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(progress(&status), Progress::Sent, "{status}");
    }
}

#[tokio::test]
async fn a_request_that_is_none_of_http2_is_internal_and_not_to_be_repeated() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let mut malformed = post("hello");
    for te in ["gzip", "trailers"] {
        let te = http::HeaderValue::from_static(te);
        malformed.headers_mut().append(http::header::TE, te);
    }
    let status = within("a result", connection.send(malformed)).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert_eq!(progress(&status), Progress::Sent);
    assert!(cause::<CloseReason>(&status).is_none(), "{status}");
    let text = "the request cannot be sent over HTTP/2";
    assert!(status.message().contains(text), "{status}");
    let answer = call(&connection, async || {
        let id = wire.request().await;
        wire.respond(id).await;
    });
    assert!(answer.await.is_ok(), "the connection is not harmed");
}

#[tokio::test]
async fn a_failing_request_body_ends_the_call_with_its_own_status() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let frames = stream::iter([
        Ok(Frame::data(Bytes::from("part"))),
        Err(Status::data_loss("the disk is gone")),
    ]);
    let call = connection.send(request(StreamBody::new(frames)));
    let (result, reset) = join!(within("the failure", call), wire.next(RST_STREAM));
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("the disk is gone"), "{status}");
    assert_eq!(reset.code(), CANCEL);
}

#[tokio::test]
async fn a_request_body_that_fails_during_the_response_fails_the_response() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    let serve = async {
        let id = wire.next(HEADERS).await.stream;
        wire.head(id).await;
    };
    let (response, ()) = join!(connection.send(request(body)), serve);
    let mut body = response.unwrap().into_body();
    let failed: Result<Frame<Bytes>, _> = Err(Status::data_loss("the disk is gone"));
    send.send(failed).await.unwrap();
    let status = within("the failure", body.frame()).await.unwrap();
    assert_eq!(status.unwrap_err().code(), Code::DataLoss);
    assert_eq!(wire.next(RST_STREAM).await.code(), CANCEL);
}

#[tokio::test]
async fn dropping_the_call_resets_the_stream_and_drops_the_body() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (body, watch) = Silent::new();
    let call = connection.send(request(body));
    tokio::select! {
        _ = call => unreachable!("nobody answers"),
        _ = wire.next(HEADERS) => {}
    }
    assert!(watch.is_dropped());
    assert_eq!(wire.next(RST_STREAM).await.code(), CANCEL);
}

#[tokio::test]
async fn dropping_the_response_resets_the_stream_and_drops_the_rest_of_the_request() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (body, watch) = Silent::new();
    let serve = async {
        let id = wire.next(HEADERS).await.stream;
        wire.head(id).await;
    };
    let (response, ()) = join!(connection.send(request(body)), serve);
    drop(response.unwrap());
    assert_eq!(wire.next(RST_STREAM).await.code(), CANCEL);
    eventually("the end of the body", || watch.is_dropped()).await;
}

#[tokio::test]
async fn the_server_sees_that_a_caller_has_given_up() {
    let server = UserServer::start().await.unwrap();
    server.close_gate();
    let mut client = crate::client(server.address()).await;
    let users = client
        .list_users(evenkeel_testkit::pb::ListUsersRequest::default())
        .await
        .unwrap();
    server
        .wait_for("the call", |seen| seen.in_flight == 1)
        .await;
    drop(users);
    server
        .wait_for("the reset", |seen| seen.cancelled == 1)
        .await;
}

#[tokio::test]
async fn a_server_may_answer_in_full_before_it_has_the_whole_request() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (body, watch) = Endless::new(1 << 10);
    let serve = async {
        let id = wire.next(DATA).await.stream;
        wire.head(id).await;
        wire.data(id, b"enough").await;
        wire.trailers(id).await;
        wire.reset(id, 0).await;
    };
    let (response, ()) = join!(connection.send(request(body)), serve);
    let body = within("the response", response.unwrap().into_body().collect()).await;
    let body = body.expect("not an error");
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "enough");
    eventually("the end of the body", || watch.is_dropped()).await;
}

#[tokio::test]
async fn a_trailers_only_answer_stops_the_request() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let (body, watch) = Silent::new();
    let serve = async {
        let id = wire.next(HEADERS).await.stream;
        wire.trailers_only(id, &[("grpc-status", "7")]).await;
    };
    let (response, ()) = join!(connection.send(request(body)), serve);
    let response = response.unwrap();
    assert_eq!(response.headers()["grpc-status"], "7");
    assert!(http_body::Body::is_end_stream(response.body()));
    assert!(watch.is_dropped());
    assert_eq!(wire.next(RST_STREAM).await.code(), 0);
}

#[tokio::test]
async fn status_details_that_are_not_base64_are_taken_out() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let response = call(&connection, async || {
        let id = wire.request().await;
        let trailers = [("grpc-status", "3"), ("grpc-status-details-bin", "%%%")];
        wire.trailers_only(id, &trailers).await;
    });
    let headers = response.await.unwrap().into_parts().0.headers;
    assert_eq!(headers["grpc-status"], "3");
    assert!(!headers.contains_key("grpc-status-details-bin"));

    let response = call(&connection, async || {
        let id = wire.request().await;
        let trailers = [("grpc-status", "3"), ("grpc-status-details-bin", "CAM")];
        wire.trailers_only(id, &trailers).await;
    });
    let headers = response.await.unwrap().into_parts().0.headers;
    assert_eq!(headers["grpc-status-details-bin"], "CAM");
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_loses_the_connection() {
    let peer = Peer::listen().await;
    let (connection, mut wire) = pair(&peer).await;
    let status = call(&connection, async || {
        wire.request().await;
        wire.data(5, b"of a stream that nobody opened").await;
    })
    .await
    .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(progress(&status), Progress::Sent);
    assert!(status.message().contains("PROTOCOL_ERROR"), "{status}");
}
