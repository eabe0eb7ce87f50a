//! A client that uses some of many servers.

use evenkeel::ConnectivityState;
use evenkeel_testkit::UserServer;

use crate::{Client, addresses, builder, calls, servers, shares, until};

#[tokio::test]
async fn only_the_servers_of_the_subset_get_connections() {
    let servers = servers(6).await;
    let config = r#"{"loadBalancingConfig": [{"random_subsetting_experimental":
        {"subsetSize": 2, "childPolicy": [{"round_robin": {}}]}}]}"#;
    let builder = builder(addresses(&servers)).service_config(config);
    let channel = builder.build().unwrap();
    until(&channel, "two READY", |channel| {
        let endpoints = channel.endpoints();
        let ready = endpoints
            .iter()
            .filter(|one| one.state == ConnectivityState::Ready);
        ready.count() == 2
    })
    .await;
    let mut client = Client::new(channel);
    calls(&mut client, 40).await.unwrap();

    let mut sorted = shares(&servers);
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 0, 0, 0, 20, 20]);
    for (server, calls) in servers.iter().zip(shares(&servers)) {
        let connections = UserServer::seen(server).accepted;
        assert_eq!(connections, u64::from(calls > 0), "{}", server.name());
    }
}

#[tokio::test]
async fn clients_choose_their_own_and_so_reach_all_servers() {
    let servers = servers(3).await;
    let config = r#"{"loadBalancingConfig": [{"random_subsetting_experimental":
        {"subsetSize": 1, "childPolicy": [{"round_robin": {}}]}}]}"#;
    // That one of three is missed by all 40 has a chance of less than one in three millions.
    for _ in 0..40 {
        let builder = builder(addresses(&servers)).service_config(config);
        let mut client = Client::new(builder.build().unwrap());
        calls(&mut client, 1).await.unwrap();
    }
    let shares = shares(&servers);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}
