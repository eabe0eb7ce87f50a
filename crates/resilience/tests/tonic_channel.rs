//! The layers around a plain tonic channel, against a real tonic server.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test; the lints' own exception does not reach integration tests"
)]

use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::BreakerState;
use evenkeel_core::error::{BreakerOpen, DeadlineExceeded, cause};
use evenkeel_resilience::deadline::Deadline;
use evenkeel_resilience::retry::Retry;
use evenkeel_resilience::{
    BreakerConfig, BreakerLayer, DeadlineLayer, RetryLayer, TonicBody, TonicBodyLayer,
};
use evenkeel_service_config::ServiceConfig;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{
    GetByIdRequest, ImportUsersRequest, ListUsersRequest, SyncUsersRequest,
};
use evenkeel_testkit::{Behaviour, UserServer, within};
use futures_util::{StreamExt, stream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tower::{ServiceBuilder, ServiceExt};

fn config(method: &str) -> ServiceConfig {
    let json = format!(r#"{{"methodConfig":[{{"name":[{{"service":"UserService"}}],{method}}}]}}"#);
    ServiceConfig::parse(&json).unwrap()
}

const RETRY: &str = r#""retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.1s",
    "backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}"#;

fn channel(server: &UserServer) -> Channel {
    let uri = format!("http://{}", server.socket_address());
    Endpoint::from_shared(uri).unwrap().connect_lazy()
}

type Layered = Deadline<Retry<TonicBody<Channel>>>;

/// The layers as a user writes them.
fn client(server: &UserServer, config: &ServiceConfig) -> UserServiceClient<Layered> {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(config))
        .layer(RetryLayer::new(config))
        .layer(TonicBodyLayer)
        .service(channel(server));
    UserServiceClient::new(service)
}

#[tokio::test]
async fn all_four_kinds_of_calls_pass() {
    let server = UserServer::start().await.unwrap();
    let config = config(&format!(r#"{RETRY},"timeout":"20s""#));
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(&config))
        .layer(RetryLayer::new(&config))
        .layer(BreakerLayer::new(BreakerConfig::default()))
        .layer(TonicBodyLayer)
        .service(channel(&server));
    let mut client = UserServiceClient::new(service);

    let response = client.get_by_id(GetByIdRequest { id: 7 }).await.unwrap();
    assert_eq!(response.into_inner().user.unwrap().id, 7);

    let list = ListUsersRequest {
        count: 3,
        ..Default::default()
    };
    let users = client.list_users(list).await.unwrap().into_inner();
    assert_eq!(users.collect::<Vec<_>>().await.len(), 3);

    let import = stream::iter(vec![ImportUsersRequest::default(); 5]);
    let imported = client.import_users(import).await.unwrap();
    assert_eq!(imported.into_inner().stored, 5);

    let (messages, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.sync_users(requests).await.unwrap().into_inner();
    for _ in 0..3 {
        messages.send(SyncUsersRequest::default()).await.unwrap();
        within("an answer", answers.next()).await.unwrap().unwrap();
    }
    drop(messages);
    assert!(within("the end", answers.next()).await.is_none());
}

#[tokio::test]
async fn failures_are_retried_and_say_so_to_the_server() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server, &config(RETRY));
    server.fail_next(2, Code::Unavailable);
    client.get_by_id(GetByIdRequest { id: 7 }).await.unwrap();
    assert_eq!(server.seen().previous_attempts[..3], [1, 1, 1]);

    server.behave(Behaviour::fail(Code::Unavailable));
    let status = client
        .get_by_id(GetByIdRequest { id: 7 })
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "scripted: Unavailable")
    );
    assert_eq!(
        status.metadata().get("evenkeel-attempts").unwrap(),
        "1 UNAVAILABLE; 2 UNAVAILABLE; 3 UNAVAILABLE; 4 UNAVAILABLE"
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_deadline_exceeded_and_sees_the_reset() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server, &config(r#""timeout":"0.2s""#));
    server.behave(Behaviour::Hang);
    let status = client
        .get_by_id(GetByIdRequest { id: 7 })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(
        cause::<DeadlineExceeded>(&status).unwrap().path,
        "/UserService/GetById"
    );
    server
        .wait_for("the reset", |seen| seen.in_flight == 0)
        .await;
}

#[tokio::test]
async fn the_callers_own_timeout_is_deadline_exceeded_however_often_it_expires() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server, &ServiceConfig::default());
    server.behave(Behaviour::Hang);
    // tonic's channel and tonic's server run timers of the same length.
    for _ in 0..50 {
        let mut request = Request::new(GetByIdRequest { id: 7 });
        request.set_timeout(Duration::from_millis(5));
        let status = client.get_by_id(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let server = UserServer::start().await.unwrap();
    let mut client = client(&server, &config(r#""timeout":"0.3s""#));
    server.close_gate();
    server.let_through(2);
    let list = ListUsersRequest {
        count: 3,
        ..Default::default()
    };
    let mut users = client.list_users(list).await.unwrap().into_inner();
    users.next().await.unwrap().unwrap();
    users.next().await.unwrap().unwrap();
    let status = within("the deadline", users.next())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    server
        .wait_for("the reset", |seen| seen.in_flight == 0)
        .await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_retried_until_it_is_back() {
    let mut server = UserServer::start().await.unwrap();
    let config = config(
        r#""retryPolicy":{"maxAttempts":5,"initialBackoff":"0.2s","maxBackoff":"5s",
        "backoffMultiplier":2.0,"retryableStatusCodes":["UNAVAILABLE"]}"#,
    );
    let mut client = client(&server, &config);
    client.get_by_id(GetByIdRequest { id: 7 }).await.unwrap();
    server.kill().await;
    let call = async { client.get_by_id(GetByIdRequest { id: 7 }).await };
    let restart = async { server.restart().await.unwrap() };
    let (response, ()) = tokio::join!(call, restart);
    response.unwrap();
}

#[tokio::test]
async fn a_breaker_refuses_fast_and_with_its_own_type() {
    let server = UserServer::start().await.unwrap();
    let config = BreakerConfig {
        consecutive_failures: 3,
        ..Default::default()
    };
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(&self::config(RETRY)))
        .layer(BreakerLayer::new(config).named("user-service"))
        .layer(TonicBodyLayer)
        .service(channel(&server));
    let mut client = UserServiceClient::new(service);
    server.behave(Behaviour::fail(Code::Unavailable));
    let status = client
        .get_by_id(GetByIdRequest { id: 7 })
        .await
        .unwrap_err();
    assert_eq!(server.seen().total_calls(), 3, "the fourth was refused");
    let open = cause::<BreakerOpen>(&status).unwrap();
    assert_eq!(open.endpoint, "user-service");
    assert_eq!(
        open.tripped_by,
        "UNAVAILABLE: scripted: Unavailable (3 consecutive failures)"
    );
    client
        .get_by_id(GetByIdRequest { id: 7 })
        .await
        .unwrap_err();
    assert_eq!(server.seen().total_calls(), 3);
}

#[tokio::test]
async fn a_breaker_is_closed_by_a_stream_that_does_not_end() {
    let server = UserServer::start().await.unwrap();
    let open_time = Duration::from_millis(50);
    let config = BreakerConfig {
        open_time,
        max_open_time: open_time,
        ..BreakerConfig::consecutive(1)
    };
    let service = ServiceBuilder::new()
        .layer(BreakerLayer::new(config))
        .layer(TonicBodyLayer)
        .service(channel(&server));
    let breaker = service.handle();
    let mut client = UserServiceClient::new(service);
    server.fail_next(1, Code::Unavailable);
    let request = GetByIdRequest { id: 7 };
    client.get_by_id(request).await.unwrap_err();
    assert_eq!(breaker.status().state, BreakerState::Open);

    server.close_gate();
    let list = ListUsersRequest {
        count: 3,
        ..Default::default()
    };
    let probe = within("a probe", async {
        loop {
            match client.list_users(list).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    within("another call", async {
        while client.list_users(list).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(breaker.status().state, BreakerState::Closed);
    drop(probe);
}

#[tokio::test]
async fn adaptive_throttling_refuses_fast_and_with_the_same_type() {
    let server = UserServer::start().await.unwrap();
    let service = ServiceBuilder::new()
        .layer(BreakerLayer::new(BreakerConfig::adaptive()).named("user-service"))
        .layer(TonicBodyLayer)
        .service(channel(&server));
    let breaker = service.handle();
    let mut client = UserServiceClient::new(service);
    server.behave(Behaviour::fail(Code::Unavailable));
    let request = GetByIdRequest { id: 7 };
    let refusal = loop {
        let before = server.seen().total_calls();
        let status = client.get_by_id(request).await.unwrap_err();
        if server.seen().total_calls() == before {
            break status;
        }
    };
    assert_eq!(refusal.code(), Code::Unavailable);
    let open = cause::<BreakerOpen>(&refusal).unwrap();
    assert_eq!(open.endpoint, "user-service");
    assert!(open.shed.is_some_and(|share| share > 0.9), "{open}");
    assert!(server.seen().total_calls() >= 20, "the minimum of requests");
    assert_eq!(breaker.status().adaptive.unwrap().refused, 1);
}

/// A body that is no tonic body passes as well.
#[tokio::test]
async fn any_body_of_bytes_passes() {
    let server = UserServer::start().await.unwrap();
    let config = config(RETRY);
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(&config))
        .layer(RetryLayer::new(&config))
        .layer(TonicBodyLayer)
        .service(channel(&server));
    let body = http_body_util::Full::new(Bytes::from_static(&[0; 5]));
    let request = http::Request::post("/UserService/GetById")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// A server of frames: refuses the first `refused` streams, then answers.
async fn refusing_server(refused: usize) -> (std::net::SocketAddr, impl Future<Output = ()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let mut streams = 0;
        while let Some(stream) = connection.accept().await {
            let (_, mut respond) = stream.unwrap();
            streams += 1;
            if streams <= refused {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            let head = http::Response::builder().header("content-type", "application/grpc");
            let mut body = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
            let status = http::HeaderValue::from_static("0");
            let trailers = [(http::HeaderName::from_static("grpc-status"), status)];
            body.send_trailers(trailers.into_iter().collect()).unwrap();
        }
    };
    (address, serve)
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_once_without_a_policy() {
    for (refused, expected) in [(1, Code::Ok), (2, Code::Unavailable)] {
        let (address, serve) = refusing_server(refused).await;
        let uri = format!("http://{address}");
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(&ServiceConfig::default()))
            .layer(TonicBodyLayer)
            .service(Endpoint::from_shared(uri).unwrap().connect_lazy());
        let mut client = UserServiceClient::new(service);
        let call = async move { client.get_by_id(GetByIdRequest { id: 7 }).await };
        let (result, ()) = within("both sides end", async { tokio::join!(call, serve) }).await;
        let code = result.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected);
    }
}
