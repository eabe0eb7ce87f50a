//! More than one connection to an endpoint, where calls wait for a stream.

use evenkeel_testkit::{Behaviour, UserServer, within};
use tokio::task::JoinSet;

use crate::{Client, call, channel, shares};

const SCALED: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}],
    "connectionScaling": {"maxConnectionsPerSubchannel": 3}}"#;

#[tokio::test]
async fn busy_servers_get_more_connections_and_every_call_is_answered_once() {
    let two = || UserServer::builder().max_concurrent_streams(2).start();
    let servers = [two().await.unwrap(), two().await.unwrap()];
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let channel = channel(&servers, SCALED).await;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::new(channel.clone());
        callers.spawn(async move { call(&mut client).await.map(drop) });
    }
    for server in &servers {
        let full = |seen: &evenkeel_testkit::server::Seen| seen.in_flight == 6;
        server.wait_for("all streams in use", full).await;
        assert_eq!(server.seen().accepted, 3);
        server.behave(Behaviour::Answer);
    }
    for result in within("all callers", callers.join_all()).await {
        result.unwrap();
    }
    assert_eq!(shares(&servers), [50, 50]);
    for server in &servers {
        let seen = server.seen();
        assert_eq!((seen.accepted, seen.connections, seen.retries()), (3, 3, 0));
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_stream_survive_their_server() {
    let one = || UserServer::builder().max_concurrent_streams(1).start();
    let mut servers = [one().await.unwrap(), one().await.unwrap()];
    for server in &servers {
        server.behave(Behaviour::Hang);
    }
    let channel = channel(&servers, SCALED).await;
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::new(channel.clone());
        callers.spawn(async move { call(&mut client).await.map(drop) });
    }
    for server in &servers {
        let full = |seen: &evenkeel_testkit::server::Seen| seen.in_flight == 3;
        server.wait_for("all streams in use", full).await;
    }
    servers[0].kill().await;
    servers[1].behave(Behaviour::Answer);
    let results = within("all callers", callers.join_all()).await;
    // Those that had left are lost, the others have gone to the other server.
    let lost = results.iter().filter(|result| result.is_err()).count();
    assert_eq!((lost, servers[1].seen().total_calls()), (3, 17));
}
