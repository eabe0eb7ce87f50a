//! When a call is committed, and that no attempt follows then.

use std::time::Duration;

use evenkeel::RetryConfig;
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest, ListUsersRequest, User};
use futures_util::FutureExt;
use tonic::Code;

use crate::servers::{Answer, Client, Servers, failure, retrying, start};

/// A channel whose calls keep so many bytes.
async fn keeping(servers: &Servers, call_buffer: usize, channel_buffer: usize) -> Client {
    let builder = servers.builder(1).service_config(retrying(5));
    let builder = builder.retry(RetryConfig {
        call_buffer,
        channel_buffer,
        ..RetryConfig::default()
    });
    Client::new(servers.build(builder).await)
}

/// A request of so many bytes on the wire, prefixes and all.
fn of_size(bytes: usize) -> ImportUsersRequest {
    let user = |name: usize| ImportUsersRequest {
        user: Some(User {
            name: "x".repeat(name),
            ..User::default()
        }),
    };
    // A string of some size has a prefix of as many bytes as this one.
    let overhead = encoded(&user(bytes)) - bytes;
    let message = user(bytes - overhead);
    assert_eq!(encoded(&message), bytes);
    message
}

fn encoded(message: &ImportUsersRequest) -> usize {
    // A tag and the length of each level, and gRPC's prefix.
    let name = message.user.as_ref().unwrap().name.len();
    let field = |length: usize| 1 + varint(length) + length;
    5 + field(field(name))
}

fn varint(number: usize) -> usize {
    (1..).find(|bytes| number >> (7 * bytes) == 0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn response_headers_commit_also_a_unary_call() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([Answer::fails_after_headers(Code::Unavailable)]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn response_headers_commit_a_stream() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([Answer::fails_after_headers(Code::Unavailable)]);
    let users = client.list_users(ListUsersRequest::default()).await;
    let status = users.unwrap().into_inner().message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn trailers_only_commit_nothing() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([Answer::fails(Code::Unavailable).with("x-some", "header")]);
    let users = client.list_users(ListUsersRequest::default()).await;
    assert!(users.is_ok());
    assert_eq!(servers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_limit_of_the_call_commits_it() {
    for (bytes, attempts) in [(2_000, 2), (2_001, 1)] {
        let servers = Servers::default();
        let mut client = keeping(&servers, 2_000, usize::MAX).await;
        servers.answer([Answer::fails(Code::Unavailable)]);
        let users = tokio_stream::once(of_size(bytes));
        let result = client.import_users(users).await;
        assert_eq!(result.is_ok(), attempts == 2);
        assert_eq!(servers.count(), attempts, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_limit_of_the_channel_commits_it() {
    for (bytes, attempts) in [(2_000, 2), (2_001, 1)] {
        let servers = Servers::default();
        let mut client = keeping(&servers, usize::MAX, 2_000).await;
        servers.answer([Answer::fails(Code::Unavailable)]);
        let users = tokio_stream::once(of_size(bytes));
        let result = client.import_users(users).await;
        assert_eq!(result.is_ok(), attempts == 2);
        assert_eq!(servers.count(), attempts, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_commit_nothing_is_tried_again_whatever_the_failure() {
    for answer in [
        || Answer::fails(Code::Unavailable),
        || Answer::fails(Code::Unavailable).pushing_back("0"),
        Answer::lost,
        Answer::refused,
    ] {
        let servers = Servers::default();
        let mut client = keeping(&servers, 100, usize::MAX).await;
        servers.answer([answer()]);
        let users = tokio_stream::once(of_size(200));
        let status = client.import_users(users).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(servers.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_starts_no_attempt() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([Answer::fails(Code::Unavailable)]);
    let mut call = Box::pin(client.get_by_id(GetByIdRequest { id: 1 }));
    while servers.count() == 0 {
        assert!(call.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(call);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(servers.count(), 1);
}
