//! GOAWAY: no new calls at once, nothing lost, nothing CANCELLED.

use bytes::Bytes;
use evenkeel_core::Progress;
use evenkeel_core::error::{AttemptError, cause};
use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{UserServer, within};
use evenkeel_transport::{CloseReason, Connection};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use tokio::join;
use tonic::Code;

use crate::bodies::{post, progress};
use crate::peer::{DATA, Peer};
use crate::{closed, connect};

#[tokio::test]
async fn a_running_stream_finishes_and_the_next_call_comes_back() {
    let mut server = UserServer::start().await.unwrap();
    server.close_gate();
    let connected = connect(server.address()).await;
    let connection = connected.connection;
    let mut client = crate::Client::new(connection.clone());
    let request = ListUsersRequest {
        from_id: 0,
        count: 10,
    };
    let mut users = client.list_users(request).await.unwrap().into_inner();
    server.let_through(1);
    within("one user", users.message()).await.unwrap().unwrap();

    server.go_away().await.unwrap();
    let reason = closed(connected.closed).await;
    assert!(matches!(reason, CloseReason::GoAway { .. }), "{reason}");
    assert_eq!(reason.disconnect_error(), "GOAWAY NO_ERROR");

    let status = connection.send(post("next")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let error = cause::<AttemptError>(&status).unwrap();
    assert_eq!(error.progress(), Progress::NotSent);
    assert!(error.take_request::<Full<Bytes>>().is_some());

    server.open_gate();
    assert_eq!(within("the others", users.count()).await, 9);
    evenkeel_testkit::tasks::at_most(0).await;
}

#[tokio::test]
async fn no_call_is_lost_or_cancelled_when_goaways_come_under_load() {
    let mut server = UserServer::start().await.unwrap();
    for _ in 0..10 {
        let seen_before = server.seen().total_calls();
        let connected = connect(server.address()).await;
        let client = crate::Client::new(connected.connection);
        let calls = (0..50).map(|id| {
            let mut client = client.clone();
            async move {
                let mut answered = 0;
                loop {
                    match client.get_by_id(GetByIdRequest { id }).await {
                        Ok(_) => answered += 1,
                        Err(status) => return (answered, status),
                    }
                }
            }
        });
        let (ends, went) = join!(
            within(
                "the end of all calls",
                futures_util::future::join_all(calls)
            ),
            server.go_away()
        );
        went.unwrap();
        // Those that failed were seen by nobody, whichever way they came back.
        let answered: u64 = ends.iter().map(|(answered, _)| answered).sum();
        assert_eq!(server.seen().total_calls() - seen_before, answered);
        for (_, status) in ends {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            let error = cause::<AttemptError>(&status).unwrap();
            match error.progress() {
                Progress::NotSent => {
                    assert!(error.take_request::<tonic::body::Body>().is_some());
                }
                // `h2` answers the server's ping before it writes the heads it has queued: those
                // come after the server has counted its streams, and it says that it takes none.
                Progress::Refused => {}
                Progress::Sent => panic!("the server may have seen it: {status}"),
            }
        }
        closed(connected.closed).await;
    }
}

#[tokio::test]
async fn a_stream_above_the_last_id_was_refused_and_one_below_goes_on() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let connection = connected.connection;
    let serve = async {
        let ids = wire.requests(2).await;
        let first = ids[0].min(ids[1]);
        wire.go_away(first, 0, "").await;
        wire.head(first).await;
        wire.data(first, b"answer").await;
        wire.trailers(first).await;
    };
    let (first, second, ()) = join!(
        connection.send(post("first")),
        connection.send(post("second")),
        serve
    );
    let refused = second.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(progress(&refused), Progress::Refused);
    let answer = first.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "answer");
    assert!(wire.rest().await.iter().all(|frame| frame.kind != DATA));
    evenkeel_testkit::tasks::at_most(0).await;
}

#[tokio::test]
async fn the_reason_says_what_the_peer_said() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    wire.go_away(0, 11, "too_many_pings").await;
    let reason = closed(connected.closed).await;
    let CloseReason::GoAway { code, debug } = &reason else {
        panic!("{reason}");
    };
    assert_eq!((code.0, debug.as_str()), (11, "too_many_pings"));
    assert_eq!(
        reason.to_string(),
        "the peer sent GOAWAY ENHANCE_YOUR_CALM (too_many_pings)"
    );
}

#[tokio::test]
async fn a_connection_lost_after_goaway_is_unavailable_for_the_streams_it_kept() {
    let peer = Peer::listen().await;
    let (connected, mut wire) = join!(connect(peer.address()), peer.accept());
    let serve = async {
        let id = wire.request().await;
        wire.go_away(id, 0, "").await;
        closed(connected.closed).await;
        drop(wire);
    };
    let (result, ()) = join!(connected.connection.send(post("hello")), serve);
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
}
