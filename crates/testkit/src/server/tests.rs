use std::time::Duration;

use prost::Message;
use tokio_stream::StreamExt;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::pb::user_service_client::UserServiceClient;
use crate::pb::{GetByIdRequest, ListUsersRequest, SyncUsersRequest, User};

fn client(server: &UserServer) -> UserServiceClient<Channel> {
    let uri = format!("http://{}", server.socket_address());
    UserServiceClient::new(Endpoint::from_shared(uri).unwrap().connect_lazy())
}

fn get() -> GetByIdRequest {
    GetByIdRequest { id: 123 }
}

#[tokio::test]
async fn an_answer_says_who_gave_it() {
    let server = UserServer::builder().name("a").start().await.unwrap();
    let response = client(&server).get_by_id(get()).await.unwrap();
    assert_eq!(response.metadata().get(SERVED_BY).unwrap(), "a");
    let user = response.into_inner().user.unwrap();
    assert_eq!((user.id, &*user.attributes[SERVED_BY]), (123, "a"));
    let seen = server.seen();
    assert_eq!((seen.calls(Method::GetById), seen.in_flight), (1, 0));
    assert_eq!((seen.accepted, seen.cancelled, seen.retries()), (1, 0, 0));
    assert_eq!(seen.last_request.unwrap().path, Method::GetById.path());
}

#[tokio::test]
async fn calls_with_an_id_are_known_by_it() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    for id in ["7", "", "8", "not one"] {
        let mut request = tonic::Request::new(get());
        request.metadata_mut().insert(CALL_ID, id.parse().unwrap());
        client.get_by_id(request).await.unwrap();
    }
    server.fail_next(1, Code::Unavailable);
    let mut request = tonic::Request::new(ListUsersRequest::default());
    request.metadata_mut().insert(CALL_ID, 7.into());
    client.list_users(request).await.unwrap_err();
    client.get_by_id(get()).await.unwrap();
    assert_eq!(server.executed(), [7, 8, 7]);
}

#[tokio::test]
async fn failures_come_as_scripted_and_end() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    server.fail_next(2, Code::Unavailable);
    for _ in 0..2 {
        let status = client.get_by_id(get()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.metadata().get(SERVED_BY).unwrap(), server.name());
    }
    client.get_by_id(get()).await.unwrap();
    server.behave(Behaviour::fail(Code::ResourceExhausted));
    let status = client.get_by_id(get()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn one_call_of_each_two_fails() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    server.behave(Behaviour::FailEach(2, Status::internal("one of two")));
    for _ in 0..3 {
        let status = client.get_by_id(get()).await.unwrap_err();
        assert_eq!(status.message(), "one of two");
        client.get_by_id(get()).await.unwrap();
    }
}

#[tokio::test]
async fn its_load_comes_with_the_trailers() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    let load = OrcaLoadReport {
        rps_fractional: 100.0,
        application_utilization: 0.5,
        ..OrcaLoadReport::default()
    };
    server.report_load(Some(&load));
    server.fail_next(1, Code::Unavailable);
    let failed = client.get_by_id(get()).await.unwrap_err();
    assert_eq!(reported(failed.metadata()).as_ref(), Some(&load));
    let answer = client.get_by_id(get()).await.unwrap();
    assert_eq!(reported(answer.metadata()).as_ref(), Some(&load));
    server.report_load(None);
    let answer = client.get_by_id(get()).await.unwrap();
    assert_eq!(reported(answer.metadata()), None);
}

fn reported(metadata: &MetadataMap) -> Option<OrcaLoadReport> {
    let value = metadata.get_bin("endpoint-load-metrics-bin")?;
    Some(OrcaLoadReport::decode(value.to_bytes().unwrap()).unwrap())
}

#[tokio::test]
async fn a_call_that_hangs_goes_on_or_is_seen_cancelled() {
    let server = UserServer::start().await.unwrap();
    let mut first = client(&server);
    let mut second = first.clone();
    server.behave(Behaviour::Hang);
    let request = get();
    let mut waiting = Box::pin(first.get_by_id(request));
    let given_up = second.get_by_id(get());
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it did not hang"),
        _ = given_up => panic!("it did not hang"),
        _ = server.wait_for("two calls", |seen| seen.in_flight == 2) => {}
    }
    server
        .wait_for("one of them reset", |seen| seen.cancelled == 1)
        .await;
    server.behave(Behaviour::Answer);
    within("the answer", waiting).await.unwrap();
}

#[tokio::test]
async fn the_gate_counts_messages() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    server.close_gate();
    let list = ListUsersRequest {
        from_id: 7,
        count: 3,
    };
    let mut users = client.list_users(list).await.unwrap().into_inner();
    server.let_through(2);
    for id in 7..9 {
        let user = users.message().await.unwrap().unwrap().user.unwrap();
        assert_eq!(user.id, id);
    }
    assert_eq!(server.seen().in_flight, 1);
    server.open_gate();
    let last = users.message().await.unwrap().unwrap().user.unwrap();
    assert_eq!(last.id, 9);
    assert!(users.message().await.unwrap().is_none());
    server.wait_for("its end", |seen| seen.in_flight == 0).await;
    assert_eq!(server.seen().cancelled, 0);
}

#[tokio::test]
async fn a_stream_fails_after_as_many_messages_as_scripted() {
    let server = UserServer::start().await.unwrap();
    server.behave(Behaviour::FailAfter(1, Status::data_loss("scripted")));
    let list = ListUsersRequest::default();
    let users = client(&server).list_users(list).await.unwrap();
    let codes: Vec<_> = users
        .into_inner()
        .map(|user| user.map_or_else(|status| status.code(), |_| Code::Ok))
        .collect()
        .await;
    assert_eq!(codes, [Code::Ok, Code::DataLoss]);
}

#[tokio::test]
async fn users_sent_come_back() {
    let server = UserServer::start().await.unwrap();
    let requests = (0..5).map(|id| SyncUsersRequest {
        user: Some(User {
            id,
            ..User::default()
        }),
    });
    let requests = tokio_stream::iter(requests);
    let users = client(&server).sync_users(requests).await.unwrap();
    let users: Vec<_> = users.into_inner().map(|user| user.unwrap()).collect().await;
    assert_eq!(users.len(), 5);
    assert_eq!(server.seen().messages_in, 5);
}

#[tokio::test]
async fn a_killed_server_breaks_its_calls_and_comes_back_on_its_port() {
    let mut server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    let list = ListUsersRequest::default();
    server.close_gate();
    let mut users = client.list_users(list).await.unwrap().into_inner();
    server.kill().await;
    within("the end of the stream", users.message())
        .await
        .unwrap_err();
    let refused = tokio::net::TcpStream::connect(server.socket_address()).await;
    let refused = refused.unwrap_err().kind();
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
    assert_eq!(server.seen().connections, 0);
    server.restart().await.unwrap();
    client.get_by_id(get()).await.unwrap();
}

#[tokio::test]
async fn a_graceful_end_waits_for_the_stream() {
    let mut server = UserServer::start().await.unwrap();
    let list = ListUsersRequest {
        from_id: 0,
        count: 2,
    };
    server.close_gate();
    let mut users = client(&server).list_users(list).await.unwrap().into_inner();
    let mut ending = Box::pin(server.shut_down());
    tokio::select! {
        biased;
        () = &mut ending => panic!("it did not wait"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    drop(ending);
    assert!(!server.is_running());
    server.open_gate();
    assert!(users.message().await.unwrap().is_some());
    assert!(users.message().await.unwrap().is_some());
    assert!(users.message().await.unwrap().is_none());
    within("the server's end", server.shut_down()).await;
}

#[tokio::test]
async fn a_server_that_sends_goaway_finishes_the_stream_and_takes_new_connections() {
    let mut server = UserServer::start().await.unwrap();
    let mut client = client(&server);
    let list = ListUsersRequest {
        from_id: 0,
        count: 1,
    };
    server.close_gate();
    let mut users = client.list_users(list).await.unwrap().into_inner();
    server.go_away().await.unwrap();
    // The GOAWAY is on its way: until it is there, calls go out on the old connection, and
    // tonic's channel loses those that cross it.
    within("a call on a new connection", async {
        while server.seen().accepted < 2 {
            let _ = client.get_by_id(get()).await;
        }
    })
    .await;
    server.open_gate();
    assert!(users.message().await.unwrap().is_some());
    assert!(users.message().await.unwrap().is_none());
    server
        .wait_for("the old one's end", |seen| seen.connections == 1)
        .await;
}

#[tokio::test]
async fn tls_and_unix_sockets_carry_calls() {
    let authority = crate::tls::Authority::new();
    let server = UserServer::builder().tls(authority.server(&["user.test"]));
    let server = server.start().await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client());
    let name = rustls::pki_types::ServerName::try_from("user.test").unwrap();
    let stream = tokio::net::TcpStream::connect(server.socket_address());
    let stream = stream.await.unwrap();
    let tls = connector.connect(name, stream).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    server
        .wait_for("the connection", |seen| seen.connections == 1)
        .await;

    let path = std::env::temp_dir().join(format!("evenkeel-{}.sock", std::process::id()));
    let server = UserServer::builder().unix(&path).start().await.unwrap();
    let _stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    server
        .wait_for("the connection", |seen| seen.connections == 1)
        .await;
    std::fs::remove_file(path).unwrap();
}
