//! More than one connection to an endpoint, where calls wait for a stream.

use evenkeel::{Channel, ConnectivityState, Endpoint, MemoryRegistry};
use evenkeel_testkit::{Behaviour, Health, Seen, UserServer, eventually, within};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tonic::Status;

use crate::{Client, all_ready, call, channel, quick, shares, until};

const SCALED: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}],
    "connectionScaling": {"maxConnectionsPerSubchannel": 3}}"#;

/// The same for two connections, with more of it.
fn two(more: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"round_robin": {{}}}}], {more}
            "connectionScaling": {{"maxConnectionsPerSubchannel": 2}}}}"#
    )
}

#[tokio::test]
async fn busy_servers_get_more_connections_and_every_call_is_answered_once() {
    let start = || UserServer::builder().max_concurrent_streams(2).start();
    let servers = [start().await.unwrap(), start().await.unwrap()];
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
        let full = |seen: &Seen| seen.in_flight == 6;
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
        let full = |seen: &Seen| seen.in_flight == 3;
        server.wait_for("all streams in use", full).await;
    }
    servers[0].kill().await;
    servers[1].behave(Behaviour::Answer);
    let results = within("all callers", callers.join_all()).await;
    // Those that had left are lost, the others have gone to the other server.
    let lost = results.iter().filter(|result| result.is_err()).count();
    assert_eq!((lost, servers[1].seen().total_calls()), (3, 17));
}

/// So many calls, in this order.
async fn callers(channel: &Channel, count: usize) -> JoinSet<Result<(), Status>> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let mut client = Client::new(channel.clone());
        callers.spawn(async move { call(&mut client).await.map(drop) });
        // Each has its place before the next one.
        tokio::task::yield_now().await;
    }
    callers
}

async fn all_succeed(callers: JoinSet<Result<(), Status>>) {
    for result in within("all callers", callers.join_all()).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn calls_that_wait_at_an_endpoint_that_leaves_go_to_another() {
    let one = || UserServer::builder().max_concurrent_streams(1).start();
    let servers = [one().await.unwrap(), one().await.unwrap()];
    let registry = MemoryRegistry::new();
    let register = |server: &UserServer| {
        server.behave(Behaviour::Hang);
        let registration = registry.register("user-service", server.endpoint());
        registration.unwrap()
    };
    let mut registrations: Vec<_> = servers.iter().map(register).collect();
    let channel = Channel::builder("memory:///user-service")
        .registry(&registry)
        .service_config(SCALED)
        .backoff(quick())
        .build()
        .unwrap();
    all_ready(&channel, 2).await;
    let callers = callers(&channel, 10).await;
    for server in &servers {
        let full = |seen: &Seen| seen.in_flight == 3;
        server.wait_for("all streams in use", full).await;
    }
    // Two wait at each.
    drop(registrations.remove(0));
    until(&channel, "one is left", |it| it.endpoints().len() == 1).await;
    servers[1].behave(Behaviour::Answer);
    let others = servers[1].wait_for("those that waited", |seen| seen.total_calls() == 7);
    others.await;
    assert_eq!(servers[0].seen().in_flight, 3, "what runs there goes on");
    servers[0].behave(Behaviour::Answer);
    all_succeed(callers).await;
    assert_eq!(shares(&servers), [3, 7]);
}

#[tokio::test]
async fn calls_that_wait_for_a_stream_survive_goaway() {
    let server = UserServer::builder().max_concurrent_streams(1);
    let mut servers = [server.start().await.unwrap()];
    servers[0].behave(Behaviour::Hang);
    // For a moment nobody listens.
    let config = two(r#""methodConfig": [{"name": [{}], "waitForReady": true}],"#);
    let channel = channel(&servers, &config).await;
    let callers = callers(&channel, 4).await;
    let full = |seen: &Seen| seen.in_flight == 2;
    servers[0].wait_for("all streams in use", full).await;
    servers[0].go_away().await.unwrap();
    let all = servers[0].wait_for("those that waited", |seen| seen.in_flight == 4);
    all.await;
    servers[0].behave(Behaviour::Answer);
    all_succeed(callers).await;
    assert_eq!(servers[0].seen().total_calls(), 4);
}

#[tokio::test]
async fn goaway_on_one_of_several_connections_has_another_made_for_who_waits() {
    let one = || UserServer::builder().max_concurrent_streams(1).start();
    let (mut first, second) = (one().await.unwrap(), one().await.unwrap());
    // One endpoint at two addresses, of which the first is not there yet.
    first.kill().await;
    let registry = MemoryRegistry::new();
    let both = Endpoint::with_addresses([first.address(), second.address()]);
    let _registration = registry.register("user-service", both.unwrap()).unwrap();
    let channel = Channel::builder("memory:///user-service")
        .registry(&registry)
        .service_config(two(""))
        .backoff(quick())
        .build()
        .unwrap();
    all_ready(&channel, 1).await;
    first.restart().await.unwrap();
    for server in [&first, &second] {
        server.behave(Behaviour::Hang);
    }
    let callers = callers(&channel, 3).await;
    for server in [&first, &second] {
        let full = |seen: &Seen| seen.in_flight == 1;
        server.wait_for("its stream in use", full).await;
    }
    let leaves = channel.wait_for_state_change(ConnectivityState::Ready);
    let mut leaves = std::pin::pin!(leaves);
    first.go_away().await.unwrap();
    // Over a connection to either address: for a moment nobody listens at the first.
    let run = || first.seen().in_flight + second.seen().in_flight;
    eventually("the one that waited", || run() == 3).await;
    assert!((&mut leaves).now_or_never().is_none(), "it is READY still");
    for server in [&first, &second] {
        server.behave(Behaviour::Answer);
    }
    all_succeed(callers).await;
}

#[tokio::test]
async fn the_stream_of_a_health_check_counts_among_those_that_a_server_allows() {
    let server = UserServer::builder().max_concurrent_streams(2).health();
    let servers = [server.start().await.unwrap()];
    servers[0].set_health("", Health::Serving);
    servers[0].behave(Behaviour::Hang);
    let channel = channel(
        &servers,
        &two(r#""healthCheckConfig": {"serviceName": ""},"#),
    )
    .await;
    // One beside the check, two on the other connection, and one that waits.
    let callers = callers(&channel, 4).await;
    let full = |seen: &Seen| seen.in_flight == 3;
    let seen = servers[0].wait_for("all streams in use", full).await;
    assert_eq!(seen.accepted, 2);
    // Without the check there is a stream to spare.
    channel.update_service_config(&two("")).unwrap();
    let all = servers[0].wait_for("the one that waited", |seen| seen.in_flight == 4);
    all.await;
    servers[0].behave(Behaviour::Answer);
    all_succeed(callers).await;
}
