//! Whole channels whose servers break off in every way there is: what is sent again, as the server
//! counts it.

use std::time::Duration;

use evenkeel::{BackoffConfig, Channel};
use evenkeel_core::Progress;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest, ListUsersRequest};
use evenkeel_testkit::within;
use tokio::join;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::bodies::progress;
use crate::peer::{DATA, HEADERS, Peer, Wire};

const REFUSED_STREAM: u32 = 7;
const NO_POLICY: &str = "{}";
const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2,
    "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;

type Client = UserServiceClient<Channel>;

/// A peer, a channel to it alone, and their first connection.
async fn connected(config: &str) -> (Peer, Client, Wire) {
    let peer = Peer::listen().await;
    let builder = Channel::builder(format!("static:///{}", peer.address()));
    let channel = builder.service_config(config).backoff(BackoffConfig {
        initial: Duration::from_millis(20),
        ..BackoffConfig::default()
    });
    let channel = channel.build().unwrap();
    channel.connect();
    let wire = peer.accept().await;
    within("READY", channel.wait_until_ready()).await.unwrap();
    (peer, Client::new(channel), wire)
}

async fn get(client: &Client) -> Result<(), Status> {
    let mut client = client.clone();
    let call = client.get_by_id(GetByIdRequest { id: 1 });
    within("a result", call).await.map(drop)
}

/// A head, an empty message, and OK.
async fn answer(wire: &mut Wire, stream: u32) {
    wire.head(stream).await;
    wire.data(stream, &[0; 5]).await;
    wire.trailers(stream).await;
}

/// How many more requests come before the client closes its connections, which it does when it is
/// dropped.
async fn no_more_requests(peer: Peer, client: Client, wires: impl IntoIterator<Item = Wire>) {
    drop(client);
    for mut wire in wires {
        let rest = wire.rest().await;
        assert!(rest.iter().all(|frame| frame.kind != HEADERS), "{rest:?}");
    }
    drop(peer);
}

#[tokio::test]
async fn goaway_above_a_stream_lets_it_finish_and_below_sends_it_again_once() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let serve = async {
        let ids = wire.requests(2).await;
        let kept = ids[0].min(ids[1]);
        wire.go_away(kept, 0, "").await;
        // The other one comes on a connection of its own while the first goes on.
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        answer(&mut wire, kept).await;
        next
    };
    let (one, other, next) = join!(get(&client), get(&client), serve);
    one.unwrap();
    other.unwrap();
    no_more_requests(peer, client, [wire, next]).await;
}

#[tokio::test]
async fn goaway_before_a_stream_twice_is_unavailable_without_a_policy() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let serve = async {
        wire.request().await;
        wire.go_away(0, 0, "").await;
        let mut next = peer.accept().await;
        next.request().await;
        next.go_away(0, 0, "").await;
        next
    };
    let (result, next) = join!(get(&client), serve);
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Refused);
    no_more_requests(peer, client, [wire, next]).await;
}

#[tokio::test]
async fn goaway_before_a_stream_twice_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        wire.request().await;
        wire.go_away(0, 0, "").await;
        let mut next = peer.accept().await;
        next.request().await;
        next.go_away(0, 0, "").await;
        let mut last = peer.accept().await;
        let id = last.request().await;
        answer(&mut last, id).await;
        (next, last)
    };
    let (result, (next, last)) = join!(get(&client), serve);
    result.unwrap();
    no_more_requests(peer, client, [wire, next, last]).await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_once_without_a_policy() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    for is_answered in [true, false] {
        let serve = async {
            let id = wire.request().await;
            wire.reset(id, REFUSED_STREAM).await;
            let id = wire.request().await;
            match is_answered {
                true => answer(&mut wire, id).await,
                false => wire.reset(id, REFUSED_STREAM).await,
            }
        };
        let (result, ()) = join!(get(&client), serve);
        assert_eq!(result.is_ok(), is_answered);
        if let Err(status) = result {
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(progress(&status), Progress::Refused);
        }
    }
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_stream_that_is_refused_again_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        for _ in 0..3 {
            let id = wire.request().await;
            wire.reset(id, REFUSED_STREAM).await;
        }
    };
    // The first, the transparent one, and the one of the policy, which allows two.
    let (result, ()) = join!(get(&client), serve);
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_reset_of_another_kind_is_never_transparent() {
    let (peer, client, mut wire) = connected(POLICY).await;
    for (reset, code) in [
        (0, Code::Internal),
        (2, Code::Internal),
        (8, Code::Cancelled),
        (11, Code::ResourceExhausted),
        (12, Code::PermissionDenied),
    ] {
        let serve = async {
            let id = wire.request().await;
            wire.reset(id, reset).await;
        };
        let (result, ()) = join!(get(&client), serve);
        assert_eq!(result.unwrap_err().code(), code);
    }
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_connection_cut_after_the_request_is_unavailable_without_a_policy() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let serve = async {
        wire.request().await;
        drop(wire);
    };
    let (result, ()) = join!(get(&client), serve);
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
    // It may connect again, but sends nothing.
    let next = sends_on_its_next_connection(&peer, &client).await;
    no_more_requests(peer, client, [next]).await;
}

#[tokio::test]
async fn a_connection_cut_after_the_request_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        wire.request().await;
        drop(wire);
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        next
    };
    let (result, next) = join!(get(&client), serve);
    result.unwrap();
    no_more_requests(peer, client, [next]).await;
}

/// Whether what follows a cut is the next call and nothing else.
async fn sends_on_its_next_connection(peer: &Peer, client: &Client) -> Wire {
    let serve = async {
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        next
    };
    let (result, next) = join!(get(client), serve);
    result.unwrap();
    next
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_request_is_never_transparent() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let (send, users) = mpsc::channel(1);
    let mut importing = client.clone();
    let call = importing.import_users(ReceiverStream::new(users));
    let serve = async {
        send.send(ImportUsersRequest::default()).await.unwrap();
        let half = wire.next(DATA).await;
        assert!(!half.ends_stream());
        drop(wire);
    };
    let (result, ()) = join!(within("a result", call), serve);
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Sent);
    let next = sends_on_its_next_connection(&peer, &client).await;
    drop(importing);
    no_more_requests(peer, client, [next]).await;
}

#[tokio::test]
async fn a_request_that_was_cut_in_the_middle_is_sent_again_from_its_first_message_by_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let (send, users) = mpsc::channel(1);
    let mut importing = client.clone();
    let call = importing.import_users(ReceiverStream::new(users));
    let serve = async {
        send.send(ImportUsersRequest::default()).await.unwrap();
        assert_eq!(wire.next(DATA).await.payload, [0; 5][..]);
        drop(wire);
        let mut next = peer.accept().await;
        assert_eq!(next.next(DATA).await.payload, [0; 5][..]);
        send.send(ImportUsersRequest::default()).await.unwrap();
        drop(send);
        let mut rest = 0;
        let id = loop {
            let data = next.next(DATA).await;
            rest += data.payload.len();
            if data.ends_stream() {
                break data.stream;
            }
        };
        assert_eq!(rest, 5);
        answer(&mut next, id).await;
        next
    };
    let (result, next) = join!(within("a result", call), serve);
    result.unwrap();
    drop(importing);
    no_more_requests(peer, client, [next]).await;
}

#[tokio::test]
async fn a_response_that_is_cut_after_its_head_is_not_begun_again() {
    for with_message in [false, true] {
        let (peer, client, mut wire) = connected(POLICY).await;
        let mut listing = client.clone();
        let serve = async {
            let id = wire.request().await;
            wire.head(id).await;
            if with_message {
                wire.data(id, &[0; 5]).await;
            }
            wire
        };
        let call = listing.list_users(ListUsersRequest::default());
        let (users, wire) = join!(within("a head", call), serve);
        let mut users = users.unwrap().into_inner();
        if with_message {
            let user = within("a message", users.message()).await;
            assert!(user.unwrap().is_some());
        }
        drop(wire);
        let status = within("the end", users.message()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let next = sends_on_its_next_connection(&peer, &client).await;
        drop(listing);
        no_more_requests(peer, client, [next]).await;
    }
}

#[tokio::test]
async fn a_unary_response_that_is_cut_after_its_head_is_not_begun_again() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        let id = wire.request().await;
        wire.head(id).await;
        // Half a message: its length says that there is more.
        wire.data(id, &[0, 0, 0, 0, 9, 1]).await;
        drop(wire);
    };
    let (result, ()) = join!(get(&client), serve);
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    let next = sends_on_its_next_connection(&peer, &client).await;
    no_more_requests(peer, client, [next]).await;
}

#[tokio::test]
async fn a_refusal_after_the_head_is_not_tried_again() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        let id = wire.request().await;
        wire.head(id).await;
        wire.reset(id, REFUSED_STREAM).await;
    };
    let (result, ()) = join!(get(&client), serve);
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_head_that_is_cut_itself_was_none_and_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        let id = wire.request().await;
        // A frame of a hundred bytes that end with the first.
        let mut part = crate::peer::frame(HEADERS, 0x4, id, &[0x88; 100]);
        part.truncate(10);
        wire.write_raw(&part).await;
        drop(wire);
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        next
    };
    let (result, next) = join!(get(&client), serve);
    result.unwrap();
    no_more_requests(peer, client, [next]).await;
}
