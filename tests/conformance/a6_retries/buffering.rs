//! What is kept of a request, and sent again.

use std::time::Duration;

use evenkeel::RetryConfig;
use evenkeel_testkit::pb::{ImportUsersRequest, SyncUsersRequest, User};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::servers::{Answer, Client, Servers, retrying, start};

/// A user whose message has `length` bytes at least, and those of no other.
fn user(length: usize) -> Option<User> {
    Some(User {
        name: "x".repeat(length),
        ..User::default()
    })
}

fn import(length: usize) -> ImportUsersRequest {
    ImportUsersRequest { user: user(length) }
}

/// The bytes of such a message: a tag and a length of one byte twice.
const fn sent(length: usize) -> usize {
    length + 4
}

#[tokio::test(start_paused = true)]
async fn everything_is_sent_again_in_order_and_with_its_end() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([(); 3].map(|()| Answer::fails(Code::Unavailable)));
    let users = tokio_stream::iter([3, 1, 4, 1, 5].map(import));
    client.import_users(users).await.unwrap();
    let attempts = servers.attempts();
    assert_eq!(attempts.len(), 4);
    for attempt in attempts {
        assert_eq!(attempt.messages, [3, 1, 4, 1, 5].map(sent));
        assert!(attempt.has_ended);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_sent_between_two_attempts_are_appended() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([Answer::fails(Code::Unavailable).having_read(2)]);
    let (send, users) = mpsc::unbounded_channel();
    let call = client.import_users(UnboundedReceiverStream::new(users));
    let feed = async {
        send.send(import(1)).unwrap();
        send.send(import(2)).unwrap();
        while servers.count() == 0 {
            tokio::task::yield_now().await;
        }
        // In the middle of the delay, which is 0.8 s at least.
        tokio::time::sleep(Duration::from_millis(500)).await;
        send.send(import(3)).unwrap();
        while servers.count() == 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        send.send(import(4)).unwrap();
        drop(send);
    };
    let (response, ()) = tokio::join!(call, feed);
    response.unwrap();
    let [first, second] = &servers.attempts()[..] else {
        panic!("there are two attempts");
    };
    assert_eq!(first.messages, [1, 2].map(sent));
    assert!(!first.has_ended);
    assert_eq!(second.messages, [1, 2, 3, 4].map(sent));
    assert!(second.has_ended);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_sent_once_and_whole() {
    let servers = Servers::default();
    let builder = servers.builder(1).service_config(retrying(5));
    let builder = builder.retry(RetryConfig {
        call_buffer: 50,
        ..RetryConfig::default()
    });
    let mut client = Client::new(servers.build(builder).await);
    let users = || tokio_stream::iter([30, 30, 30].map(import));
    servers.answer([Answer::ok(), Answer::fails(Code::Unavailable)]);
    client.import_users(users()).await.unwrap();
    client.import_users(users()).await.unwrap_err();
    let attempts = servers.attempts();
    assert_eq!(attempts.len(), 2);
    for attempt in attempts {
        assert_eq!(attempt.messages, [30, 30, 30].map(sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_keeps_256_kib_unless_the_client_says_otherwise() {
    for (length, attempts) in [(256 * 1024 - 100, 2), (256 * 1024, 1)] {
        let (servers, mut client) = start(&retrying(5)).await;
        servers.answer([Answer::fails(Code::Unavailable)]);
        let users = tokio_stream::once(import(length));
        drop(client.import_users(users).await);
        assert_eq!(servers.count(), attempts, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_released_by_the_commit() {
    let servers = Servers::default();
    let builder = servers.builder(1).service_config(retrying(5));
    let builder = builder.retry(RetryConfig {
        channel_buffer: 5_000,
        ..RetryConfig::default()
    });
    let mut client = Client::new(servers.build(builder).await);

    // One call keeps nearly all that the channel has, and another finds too little left.
    let (send, users) = mpsc::unbounded_channel();
    let sync = SyncUsersRequest { user: user(4_000) };
    send.send(sync).unwrap();
    servers.answer([
        Answer::begins()
            .having_read(1)
            .after(Duration::from_secs(60)),
        Answer::fails(Code::Unavailable),
    ]);
    let mut other = client.clone();
    let users = UnboundedReceiverStream::new(users);
    let mut begins = Box::pin(client.sync_users(users));
    let try_other = async {
        while servers.count() == 0 {
            tokio::task::yield_now().await;
        }
        let users = tokio_stream::once(import(3_000));
        other.import_users(users).await.unwrap_err();
    };
    tokio::select! {
        _ = &mut begins => panic!("it takes a minute"),
        () = try_other => {}
    }
    assert_eq!(servers.count(), 2);

    // Response-Headers have come, and the call goes on.
    let _running = begins.await.unwrap();
    servers.answer([Answer::fails(Code::Unavailable)]);
    let users = tokio_stream::once(import(3_000));
    other.import_users(users).await.unwrap();
    assert_eq!(servers.count(), 4);
}
