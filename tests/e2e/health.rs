//! Client-side health checking (gRFC A17) against servers that have the health service, and one that has not.

use evenkeel::errors::{NotHealthy, NotHealthyReason, ServingStatus, cause};
use evenkeel::{Channel, ConnectivityState};
use evenkeel_testkit::{Health, Seen, UserServer, trace_init, within};
use tonic::Code;

use crate::{
    Client, addresses, all_ready, builder, call, calls, list, shares, since, state_of, until,
};

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "UserService"}}"#;

async fn servers<const N: usize>(health: [Health; N]) -> Vec<UserServer> {
    trace_init();
    let mut servers = Vec::new();
    for health in health {
        let server = UserServer::builder().health().start().await.unwrap();
        server.set_health("UserService", health);
        servers.push(server);
    }
    servers
}

fn channel(servers: &[UserServer], config: &str) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    builder.build().unwrap()
}

async fn reach(channel: &Channel, server: &UserServer, state: ConnectivityState) {
    until(channel, "the state", |channel| {
        state_of(channel, server).is_some_and(|(present, _)| present == state)
    })
    .await;
}

fn is_asked(times: u64) -> impl FnMut(&Seen) -> bool {
    move |seen| seen.health_streams == times
}

#[tokio::test]
async fn calls_go_where_it_is_healthy_and_connections_stay() {
    let servers = servers([Health::Serving; 3]).await;
    let channel = channel(&servers, ROUND_ROBIN);
    all_ready(&channel, 3).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 30).await.unwrap();
    assert_eq!(shares(&servers), [10, 10, 10]);

    servers[1].set_health("UserService", Health::NotServing);
    reach(&channel, &servers[1], ConnectivityState::TransientFailure).await;
    let before = shares(&servers);
    calls(&mut client, 30).await.unwrap();
    assert_eq!(since(&servers, &before), [15, 0, 15]);
    let endpoint = &channel.endpoints()[1];
    let error = endpoint.error.as_deref().unwrap();
    let error = cause::<NotHealthy>(error).unwrap();
    let not_serving = NotHealthyReason::Status(ServingStatus::NotServing);
    assert_eq!(error.reason, not_serving);

    servers[1].set_health("UserService", Health::Serving);
    all_ready(&channel, 3).await;
    let before = shares(&servers);
    calls(&mut client, 30).await.unwrap();
    assert_eq!(since(&servers, &before), [10, 10, 10]);
    for (server, endpoint) in servers.iter().zip(channel.endpoints()) {
        let seen = server.seen();
        assert_eq!((seen.accepted, seen.health_streams), (1, 1));
        assert_eq!(seen.health_service.as_deref(), Some("UserService"));
        assert_eq!(endpoint.stats.in_flight(), 0, "a stream counts as no call");
    }
}

#[tokio::test]
async fn calls_wait_for_the_first_answer_and_fail_with_what_it_says() {
    let servers = servers([Health::Silent]).await;
    let channel = channel(&servers, ROUND_ROBIN);
    servers[0].wait_for("it is asked", is_asked(1)).await;
    let mut client = Client::new(channel.clone());
    let mut early = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = client.clone();
        early.spawn(async move { call(&mut client).await });
    }
    // Connected, as far as the server knows.
    let connected = |seen: &Seen| seen.open_health_streams == 1;
    servers[0].wait_for("a stream", connected).await;
    assert_eq!(channel.state(), ConnectivityState::Connecting);
    assert_eq!(servers[0].seen().total_calls(), 0, "they wait");

    servers[0].set_health("UserService", Health::NotServing);
    while let Some(answer) = within("they fail", early.join_next()).await {
        let status = answer.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let text = format!(
            r#"{}: health check failed, status=NOT_SERVING (service "UserService")"#,
            servers[0].address()
        );
        assert!(status.message().contains(&text), "{status}");
    }
    assert_eq!(servers[0].seen().total_calls(), 0);
    servers[0].set_health("UserService", Health::Serving);
    all_ready(&channel, 1).await;
    calls(&mut client, 10).await.unwrap();
    assert_eq!(servers[0].seen().accepted, 1);
}

#[tokio::test]
async fn a_server_without_the_service_is_healthy() {
    let mut servers = servers([Health::Serving; 2]).await;
    servers.push(UserServer::start().await.unwrap());
    let channel = channel(&servers, ROUND_ROBIN);
    all_ready(&channel, 3).await;
    calls(&mut Client::new(channel), 30).await.unwrap();
    assert_eq!(shares(&servers), [10, 10, 10]);
    assert_eq!(servers[2].seen().health_streams, 1, "it was asked");
}

#[tokio::test]
async fn a_config_that_adds_changes_and_removes_it_reconnects_nothing_and_fails_no_call() {
    let servers = servers([Health::Serving, Health::NotServing]).await;
    servers[1].set_health("AdminService", Health::Serving);
    let channel = channel(&servers, crate::ROUND_ROBIN);
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    let streams = |open: usize| move |seen: &Seen| seen.open_health_streams == open;

    channel.update_service_config(ROUND_ROBIN).unwrap();
    reach(&channel, &servers[1], ConnectivityState::TransientFailure).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [10, 0]);

    let admin = ROUND_ROBIN.replace("UserService", "AdminService");
    channel.update_service_config(&admin).unwrap();
    reach(&channel, &servers[0], ConnectivityState::TransientFailure).await;
    reach(&channel, &servers[1], ConnectivityState::Ready).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [0, 10]);

    channel.update_service_config(crate::ROUND_ROBIN).unwrap();
    all_ready(&channel, 2).await;
    for server in &servers {
        let seen = server.wait_for("no stream", streams(0)).await;
        assert_eq!((seen.accepted, seen.health_streams), (1, 2));
    }

    // pick_first does without; whoever takes over from it does not.
    channel.update_service_config(&admin).unwrap();
    reach(&channel, &servers[0], ConnectivityState::TransientFailure).await;
    let pick_first = admin.replace("round_robin", "pick_first");
    channel.update_service_config(&pick_first).unwrap();
    for server in &servers {
        server.wait_for("no stream", streams(0)).await;
    }
    calls(&mut client, 10).await.unwrap();
    channel.update_service_config(&admin).unwrap();
    reach(&channel, &servers[0], ConnectivityState::TransientFailure).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [0, 10]);
    assert_eq!(servers[1].seen().accepted, 1, "pick_first kept it");
}

#[tokio::test]
async fn a_builder_that_wants_no_health_checks_makes_none() {
    let servers = servers([Health::NotServing; 2]).await;
    let builder = builder(addresses(&servers)).service_config(ROUND_ROBIN);
    let channel = builder.health_checks(false).build().unwrap();
    all_ready(&channel, 2).await;
    calls(&mut Client::new(channel), 10).await.unwrap();
    for server in &servers {
        assert_eq!(server.seen().health_streams, 0);
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_asked_again() {
    let mut servers = servers([Health::Serving; 2]).await;
    let channel = channel(&servers, ROUND_ROBIN);
    all_ready(&channel, 2).await;
    servers[0].kill().await;
    servers[0].set_health("UserService", Health::NotServing);
    servers[0].restart().await.unwrap();
    servers[0].wait_for("it is asked again", is_asked(2)).await;
    reach(&channel, &servers[0], ConnectivityState::TransientFailure).await;
    servers[0].set_health("UserService", Health::Serving);
    all_ready(&channel, 2).await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_not_kept_by_its_stream() {
    let mut servers = servers([Health::Serving; 2]).await;
    let channel = channel(&servers, ROUND_ROBIN);
    all_ready(&channel, 2).await;
    within("its end", servers[0].shut_down()).await;
    assert_eq!(servers[0].seen().open_health_streams, 0);
    calls(&mut Client::new(channel), 10).await.unwrap();
}

#[tokio::test]
async fn a_channel_that_is_dropped_ends_its_streams_though_a_call_runs() {
    let servers = servers([Health::Serving]).await;
    let channel = channel(&servers, ROUND_ROBIN);
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    let _running = list(&mut client, 0).await;
    drop((channel, client));
    let ended = |seen: &Seen| seen.open_health_streams == 0;
    let seen = servers[0].wait_for("the stream ends", ended).await;
    assert_eq!(seen.in_flight, 1, "the call goes on");
}
