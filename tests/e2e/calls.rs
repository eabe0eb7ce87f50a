//! The four kinds of calls, and the ways to a server.

use evenkeel::Connector;
use evenkeel::transport::Tls;
use evenkeel_testkit::pb::{ImportUsersRequest, SyncUsersRequest, User};
use evenkeel_testkit::tls::Authority;
use evenkeel_testkit::{Method, UserServer, within};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::{COURSE, Client, ROUND_ROBIN, builder, call, calls, channel, list, servers, shares};

fn user(id: i64) -> Option<User> {
    Some(User {
        id,
        ..User::default()
    })
}

#[tokio::test]
async fn all_four_kinds_of_calls_cross_the_stack() {
    let servers = servers(1).await;
    let mut client = Client::new(channel(&servers, COURSE).await);

    call(&mut client).await.unwrap();

    let users = list(&mut client, 100).await.into_inner();
    let ids = users.map(|user| user.unwrap().user.unwrap().id);
    let ids: Vec<_> = within("all users", ids.collect()).await;
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());

    let import = (1..=100).map(|id| ImportUsersRequest { user: user(id) });
    let import = client.import_users(tokio_stream::iter(import));
    let stored = within("the count", import).await.unwrap().into_inner();
    assert_eq!(stored.stored, 100);

    let (say, said) = mpsc::channel(1);
    let sync = client.sync_users(ReceiverStream::new(said));
    let mut users = within("a response", sync).await.unwrap().into_inner();
    for id in 1..=100 {
        say.send(SyncUsersRequest { user: user(id) }).await.unwrap();
        let answer = within("the echo", users.message()).await.unwrap();
        assert_eq!(answer.unwrap().user.unwrap().id, id);
    }
    drop(say);
    assert!(within("the end", users.message()).await.unwrap().is_none());

    let seen = servers[0].seen();
    for method in [
        Method::GetById,
        Method::ListUsers,
        Method::ImportUsers,
        Method::SyncUsers,
    ] {
        assert_eq!(seen.calls(method), 1, "{method:?}");
    }
    assert_eq!((seen.accepted, seen.cancelled, seen.retries()), (1, 0, 0));
}

#[tokio::test]
async fn dropping_a_response_cancels_the_call_at_the_server() {
    let servers = servers(1).await;
    let mut client = Client::new(channel(&servers, COURSE).await);
    let mut users = list(&mut client, 0).await.into_inner();
    users.message().await.unwrap();
    assert_eq!(servers[0].seen().in_flight, 1);
    drop(users);
    servers[0]
        .wait_for("the reset", |seen| seen.cancelled == 1)
        .await;
    call(&mut client).await.unwrap();
    assert_eq!(servers[0].seen().accepted, 1);
}

#[tokio::test]
async fn a_server_that_allows_one_stream_makes_calls_wait_and_fails_none() {
    let one = || UserServer::builder().max_concurrent_streams(1).start();
    let servers = [one().await.unwrap(), one().await.unwrap()];
    let channel = channel(&servers, ROUND_ROBIN).await;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::new(channel.clone());
        callers.spawn(async move { call(&mut client).await.map(drop) });
    }
    for result in within("all callers", callers.join_all()).await {
        result.unwrap();
    }
    assert_eq!(shares(&servers), [50, 50]);
}

#[tokio::test]
async fn an_endpoint_may_be_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.sock");
    let server = UserServer::builder().unix(&path).start().await.unwrap();
    let target = format!("unix://{}", path.display());
    let channel = evenkeel::Channel::new(&target).unwrap();
    assert_eq!(channel.target(), target);
    let mut client = Client::new(channel);
    calls(&mut client, 10).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen.total_calls(), seen.accepted), (10, 1));
    assert_eq!(
        seen.last_request.unwrap().authority.as_deref(),
        Some("localhost")
    );
}

#[tokio::test]
async fn endpoints_may_speak_tls_under_the_channels_name() {
    let authority = Authority::new();
    let secure = || UserServer::builder().tls(authority.server(&["user.example"]));
    let servers = [
        secure().start().await.unwrap(),
        secure().start().await.unwrap(),
    ];
    let tls = || Connector::new().with_tls(Tls::with_ca_pem(authority.pem().as_bytes()).unwrap());
    let names = servers.each_ref().map(UserServer::address);
    let channel = builder(&names)
        .service_config(ROUND_ROBIN)
        .connector(tls())
        .authority("user.example")
        .build()
        .unwrap();
    crate::all_ready(&channel, 2).await;
    calls(&mut Client::new(channel), 10).await.unwrap();
    assert_eq!(shares(&servers), [5, 5]);
    let request = servers[0].seen().last_request.unwrap();
    assert_eq!(request.authority.as_deref(), Some("user.example"));

    // Under another name the certificates are not theirs.
    let channel = builder(&names)
        .service_config(ROUND_ROBIN)
        .connector(tls())
        .authority("order.example")
        .build()
        .unwrap();
    let status = call(&mut Client::new(channel)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    for name in &names {
        assert!(status.message().contains(&name.to_string()), "{status}");
    }
    assert!(status.message().contains("certificate"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_share_one_connection_per_endpoint_across_threads() {
    fn is_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}

    let servers = servers(2).await;
    let channel = channel(&servers, ROUND_ROBIN).await;
    is_shareable(&channel);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let mut client = Client::new(channel.clone());
        callers.spawn(async move { calls(&mut client, 50).await.unwrap() });
    }
    within("all callers", callers.join_all()).await;
    assert_eq!(shares(&servers), [250, 250]);
    for server in &servers {
        assert_eq!(server.seen().accepted, 1);
    }
}
