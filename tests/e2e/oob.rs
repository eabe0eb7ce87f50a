//! weighted_round_robin with out-of-band reports: servers stream their load, and are given calls by it.

use evenkeel::{Channel, ChannelBuilder};
use evenkeel_testkit::{OrcaLoadReport, UserServer, eventually, trace_init, within};

use crate::{Client, addresses, all_ready, builder, calls, list, shares, since};

/// Believes the first report, and reads them ten times a second.
const CONFIG: &str = r#"{"loadBalancingConfig": [{"weighted_round_robin":
    {"enableOobLoadReport": true, "oobReportingPeriod": "30s",
     "blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}}]}"#;

async fn servers() -> Vec<UserServer> {
    trace_init();
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(UserServer::builder().open_rca().start().await.unwrap());
    }
    servers
}

fn over(servers: &[UserServer]) -> ChannelBuilder {
    builder(addresses(servers)).service_config(CONFIG)
}

async fn channel(servers: &[UserServer]) -> Channel {
    let channel = over(servers).build().unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

/// 100 calls per second: the weight is 100 through the utilization.
fn load(utilization: f64) -> OrcaLoadReport {
    OrcaLoadReport {
        rps_fractional: 100.0,
        application_utilization: utilization,
        ..OrcaLoadReport::default()
    }
}

/// Streams these loads, and waits until the channel knows them.
async fn stream(channel: &Channel, servers: &[UserServer], utilizations: [f64; 3]) {
    for (server, utilization) in servers.iter().zip(utilizations) {
        server.stream_load(Some(&load(utilization)));
    }
    let weighs = |(utilization, endpoint): (f64, evenkeel::EndpointReport)| {
        let load = endpoint.stats.load();
        load.is_some_and(|load| load.weight == 100.0 / utilization)
    };
    let all_known = || {
        utilizations
            .into_iter()
            .zip(channel.endpoints())
            .all(weighs)
    };
    eventually("the loads", all_known).await;
}

/// How 70 calls are shared after the policy has read the weights once more.
async fn after_one_update(channel: &Channel, servers: &[UserServer]) -> Vec<u64> {
    // Nothing but its timer makes this policy decide while nothing else changes.
    within("an update", channel.changed()).await;
    let before = shares(servers);
    calls(&mut Client::new(channel.clone()), 70).await.unwrap();
    since(servers, &before)
}

fn are_about(shares: &[u64], expected: [u64; 3]) -> bool {
    let mut pairs = shares.iter().zip(expected);
    pairs.all(|(share, expected)| share.abs_diff(expected) <= 2)
}

#[tokio::test]
async fn shares_follow_the_streamed_loads_and_not_those_of_responses() {
    let servers = servers().await;
    let channel = channel(&servers).await;
    for server in &servers {
        server.report_load(Some(&load(0.01)));
    }
    for (utilizations, expected) in [
        ([1.0, 0.5, 0.25], [10, 20, 40]),
        ([0.25, 0.5, 1.0], [40, 20, 10]),
    ] {
        stream(&channel, &servers, utilizations).await;
        let shares = after_one_update(&channel, &servers).await;
        assert!(are_about(&shares, expected), "{shares:?} {utilizations:?}");
    }
    for (server, endpoint) in servers.iter().zip(channel.endpoints()) {
        let seen = server.seen();
        assert_eq!((seen.load_streams, seen.open_load_streams), (1, 1));
        assert_eq!(seen.load_interval.unwrap().as_secs(), 30);
        assert_eq!(endpoint.stats.in_flight(), 0, "a stream counts as no call");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_streams_again() {
    let mut servers = servers().await;
    let channel = channel(&servers).await;
    stream(&channel, &servers, [1.0, 0.5, 0.25]).await;
    servers[2].kill().await;
    servers[2].stream_load(None);
    servers[2].restart().await.unwrap();
    let again = |seen: &evenkeel_testkit::Seen| seen.load_streams == 2;
    servers[2].wait_for("another stream", again).await;
    all_ready(&channel, 3).await;
    stream(&channel, &servers, [1.0, 0.5, 0.5]).await;
    let shares = after_one_update(&channel, &servers).await;
    assert!(are_about(&shares, [14, 28, 28]), "{shares:?}");
    assert_eq!(servers[0].seen().load_streams, 1);
}

#[tokio::test]
async fn a_server_that_goes_away_is_not_kept_by_its_stream() {
    let mut servers = servers().await;
    let channel = channel(&servers).await;
    stream(&channel, &servers, [1.0, 0.5, 0.25]).await;
    within("its end", servers[2].shut_down()).await;
    assert_eq!(servers[2].seen().open_load_streams, 0);
    calls(&mut Client::new(channel), 30).await.unwrap();
}

#[tokio::test]
async fn a_server_without_the_service_is_asked_once_and_called_like_any_other() {
    let servers = crate::servers(3).await;
    let channel = channel(&servers).await;
    for server in &servers {
        let asked = |seen: &evenkeel_testkit::Seen| seen.load_streams == 1;
        server.wait_for("a stream was asked for", asked).await;
    }
    for _ in 0..3 {
        let before = shares(&servers);
        calls(&mut Client::new(channel.clone()), 30).await.unwrap();
        assert_eq!(since(&servers, &before), [10, 10, 10]);
    }
    for server in &servers {
        assert_eq!(server.seen().load_streams, 1);
    }
}

#[tokio::test]
async fn streams_end_with_the_channel_though_a_call_goes_on() {
    let servers = servers().await;
    let channel = channel(&servers).await;
    stream(&channel, &servers, [1.0, 1.0, 1.0]).await;
    let mut client = Client::new(channel.clone());
    let running = list(&mut client, 0).await;
    drop((client, channel));
    for server in &servers {
        let ended = |seen: &evenkeel_testkit::Seen| seen.open_load_streams == 0;
        server.wait_for("the end of its stream", ended).await;
    }
    let calls = servers.iter().map(|server| server.seen().in_flight);
    assert_eq!(calls.sum::<usize>(), 1, "the call goes on");
    drop(running);
}
