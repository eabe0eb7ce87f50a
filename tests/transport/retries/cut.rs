//! Connections that are cut: before, in and after a request, a head and a message.

use evenkeel_core::Progress;
use evenkeel_testkit::pb::{ImportUsersRequest, ListUsersRequest};
use evenkeel_testkit::within;
use tokio::join;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{
    NO_POLICY, POLICY, answer, connected, get, no_more_requests, sends_on_its_next_connection,
};
use crate::bodies::progress;
use crate::peer::{DATA, HEADERS};

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
