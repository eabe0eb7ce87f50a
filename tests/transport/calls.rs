//! The four kinds of calls, through the generated stub, against a real tonic server.

use std::future::{Future, poll_fn};
use std::pin::pin;

use evenkeel_testkit::pb::{
    GetByIdRequest, ImportUsersRequest, ListUsersRequest, SyncUsersRequest, User,
};
use evenkeel_testkit::server::Method;
use evenkeel_testkit::{Behaviour, UserServer, within};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::iter;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::client;

fn import(id: i64) -> ImportUsersRequest {
    ImportUsersRequest {
        user: Some(User {
            id,
            ..User::default()
        }),
    }
}

fn sync(id: i64) -> SyncUsersRequest {
    SyncUsersRequest {
        user: Some(User {
            id,
            ..User::default()
        }),
    }
}

#[tokio::test]
async fn unary_calls_are_answered() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    for id in 1..=100 {
        let response = client.get_by_id(GetByIdRequest { id }).await.unwrap();
        assert_eq!(response.into_inner().user.unwrap().id, id);
    }
    assert_eq!(server.seen().calls(Method::GetById), 100);
    assert_eq!(server.seen().accepted, 1, "all on one connection");
}

#[tokio::test]
async fn many_unary_calls_share_the_connection_at_the_same_time() {
    let server = UserServer::start().await.unwrap();
    let client = client(server.address()).await;
    let calls = (0..100).map(|id| {
        let mut client = client.clone();
        async move { client.get_by_id(GetByIdRequest { id }).await }
    });
    let answers = within("all answers", futures_util::future::join_all(calls)).await;
    for (id, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().into_inner().user.unwrap().id, id as i64);
    }
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn the_servers_status_arrives_as_it_was_sent() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    server.behave(Behaviour::fail(Code::ResourceExhausted));
    let status = client
        .get_by_id(GetByIdRequest { id: 1 })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "scripted: ResourceExhausted");
}

#[tokio::test]
async fn server_streams_end_with_their_trailers() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let request = ListUsersRequest {
        from_id: 7,
        count: 500,
    };
    let mut users = client.list_users(request).await.unwrap().into_inner();
    let mut ids = Vec::new();
    while let Some(response) = users.message().await.unwrap() {
        ids.push(response.user.unwrap().id);
    }
    assert_eq!(ids, (7..507).collect::<Vec<_>>());
    assert!(users.trailers().await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_stream_fails_with_the_status_of_its_trailers() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    server.behave(Behaviour::FailAfter(3, tonic::Status::aborted("enough")));
    let mut users = client
        .list_users(ListUsersRequest::default())
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        users.message().await.unwrap().unwrap();
    }
    assert_eq!(users.message().await.unwrap_err().code(), Code::Aborted);
}

#[tokio::test]
async fn client_streams_are_sent_to_their_end() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let response = client.import_users(iter((0..2_000).map(import))).await;
    assert_eq!(response.unwrap().into_inner().stored, 2_000);
}

#[tokio::test]
async fn an_empty_client_stream_is_one() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let response = client.import_users(tokio_stream::empty()).await;
    assert_eq!(response.unwrap().into_inner().stored, 0);
}

#[tokio::test]
async fn a_client_stream_goes_on_while_its_caller_only_waits() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let (send, receive) = mpsc::channel(1);
    let writing = async move {
        for id in 0..50 {
            send.send(import(id)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (response, ()) = within("the answer", async {
        tokio::join!(client.import_users(ReceiverStream::new(receive)), writing)
    })
    .await;
    assert_eq!(response.unwrap().into_inner().stored, 50);
}

#[tokio::test]
async fn bidirectional_messages_go_back_and_forth_one_by_one() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let (send, receive) = mpsc::channel(1);
    let response = client.sync_users(ReceiverStream::new(receive)).await;
    let mut users = response.unwrap().into_inner();
    for id in 0..50 {
        send.send(sync(id)).await.unwrap();
        let answer = within("an answer", users.message()).await.unwrap().unwrap();
        assert_eq!(answer.user.unwrap().id, id);
    }
    drop(send);
    assert!(within("the end", users.message()).await.unwrap().is_none());
    assert_eq!(server.seen().in_flight, 0);
}

#[tokio::test]
async fn a_caller_may_write_without_reading() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let (send, receive) = mpsc::channel(1);
    let response = client.sync_users(ReceiverStream::new(receive)).await;
    let mut users = response.unwrap().into_inner();
    within("room for all messages", async {
        for id in 0..100 {
            send.send(sync(id)).await.unwrap();
        }
    })
    .await;
    drop(send);
    let mut answers = 0;
    while users.next().await.transpose().unwrap().is_some() {
        answers += 1;
    }
    assert_eq!(answers, 100);
}

#[tokio::test]
async fn a_caller_may_read_without_writing() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let response = client.sync_users(iter((0..1_000).map(sync))).await;
    let users = response.unwrap().into_inner();
    assert_eq!(within("all answers", users.count()).await, 1_000);
}

#[tokio::test]
async fn a_request_carries_what_grpc_demands() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    let mut request = tonic::Request::new(GetByIdRequest { id: 1 });
    request
        .metadata_mut()
        .insert("x-token", "abc".parse().unwrap());
    client.get_by_id(request).await.unwrap();
    let request = server.seen().last_request.unwrap();
    assert_eq!(request.path, "/UserService/GetById");
    assert_eq!(request.authority.unwrap(), server.address().to_string());
    assert_eq!(request.headers["te"], "trailers");
    assert_eq!(request.headers["content-type"], "application/grpc");
    assert_eq!(request.headers["x-token"], "abc");
    let agent = request.headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("grpc-rust-evenkeel/"), "{agent}");
}

/// The output of `call`, which must not spawn a task in any of its polls.
async fn alone<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|cx| {
        let polled = call.as_mut().poll(cx);
        assert_eq!(evenkeel_testkit::tasks::alive(), 1, "the connection's");
        polled
    })
    .await
}

#[tokio::test]
async fn no_task_is_spawned_for_calls_that_end_with_their_answer() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(server.address()).await;
    for id in 0..100 {
        alone(client.get_by_id(GetByIdRequest { id }))
            .await
            .unwrap();
    }
    let request = ListUsersRequest {
        from_id: 0,
        count: 100,
    };
    let users = alone(client.list_users(request)).await.unwrap();
    assert_eq!(alone(users.into_inner().count()).await, 100);
    let imported = alone(client.import_users(iter((0..100).map(import)))).await;
    assert_eq!(imported.unwrap().into_inner().stored, 100);
}
