//! Those that treat all endpoints alike, or take the first.

use evenkeel::{MemoryRegistry, Metadata};
use evenkeel_testkit::within;

use super::{SERVICE, register, registered};
use crate::{
    Client, ROUND_ROBIN, all_ready, call, calls, channel, list, served_by, servers, shares, since,
    until,
};

#[tokio::test]
async fn pick_first_sends_all_to_the_first_and_then_to_the_next_one() {
    for config in ["{}", r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#] {
        let mut servers = servers(3).await;
        let builder = crate::builder(crate::addresses(&servers)).service_config(config);
        let mut client = Client::new(builder.build().unwrap());
        calls(&mut client, 30).await.unwrap();
        assert_eq!(shares(&servers), [30, 0, 0], "{config}");
        let connections = servers.iter().map(|server| server.seen().accepted);
        assert_eq!(connections.collect::<Vec<_>>(), [1, 0, 0], "{config}");

        servers[0].kill().await;
        let next = within("the next one", async {
            loop {
                // Calls may fail until the loss is noticed; no retry policy forbids it.
                if let Ok(name) = call(&mut client).await {
                    return name;
                }
            }
        });
        assert_eq!(next.await, servers[1].name(), "{config}");
        calls(&mut client, 30).await.unwrap();
        assert_eq!(shares(&servers), [30, 31, 0], "{config}");
    }
}

#[tokio::test]
async fn round_robin_gives_each_its_turn() {
    let servers = servers(3).await;
    let mut client = Client::new(channel(&servers, ROUND_ROBIN).await);
    let mut names = Vec::new();
    for _ in 0..30 {
        names.push(call(&mut client).await.unwrap());
    }
    assert_eq!(shares(&servers), [10, 10, 10]);
    for turn in names.windows(4) {
        assert_eq!(turn[0], turn[3], "every third call goes to the same");
    }
}

#[tokio::test]
async fn random_gives_each_about_as_many_in_no_order() {
    let servers = servers(3).await;
    let config = r#"{"loadBalancingConfig": [{"evenkeel.random": {}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    let mut names = Vec::new();
    for _ in 0..300 {
        names.push(call(&mut client).await.unwrap());
    }
    // Six times the standard deviation of 8.2.
    let shares = shares(&servers);
    assert!(
        shares.iter().all(|share| (51..150).contains(share)),
        "{shares:?}"
    );
    let is_same = |pair: &&[String]| pair[0] == pair[1];
    let repeated = names.windows(2).filter(is_same).count();
    assert!((51..150).contains(&repeated), "{repeated} of 299");
}

#[tokio::test]
async fn least_request_avoids_the_endpoint_with_open_streams() {
    let servers = servers(2).await;
    let config = r#"{"loadBalancingConfig": [{"least_request": {"choiceCount": 10}}]}"#;
    let mut client = Client::new(channel(&servers, config).await);
    for server in &servers {
        // Streams that nobody reads would fill the connection's window, and calls wait behind them.
        server.close_gate();
    }
    // Streams spread evenly, so some soon run at the first server.
    let (mut busy, mut others) = (Vec::new(), Vec::new());
    while busy.len() < 3 {
        let users = list(&mut client, 0).await;
        let name = served_by(&users);
        if name == servers[0].name() {
            busy.push(users);
        } else {
            others.push(users);
        }
    }
    drop(others);
    let before = shares(&servers);
    calls(&mut client, 200).await.unwrap();
    // A call goes to the busy one only if all ten choices are that one: 1 in 1024.
    let [first, second] = since(&servers, &before)[..] else {
        panic!("two servers")
    };
    assert_eq!(first + second, 200);
    assert!(first <= 6, "{first} calls to the busy one");
}

#[tokio::test]
async fn one_that_comes_or_goes_joins_or_leaves_the_rotation() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let mut registrations = register(
        &registry,
        &servers,
        [Metadata::default(), Metadata::default()],
    );
    let channel = registered(&registry, ROUND_ROBIN).build().unwrap();
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 20).await.unwrap();
    assert_eq!(shares(&servers), [10, 10, 0]);

    registrations.push(registry.register(SERVICE, servers[2].endpoint()).unwrap());
    all_ready(&channel, 3).await;
    calls(&mut client, 30).await.unwrap();
    assert_eq!(shares(&servers), [20, 20, 10]);

    drop(registrations.remove(0));
    until(&channel, "one is gone", |it| it.endpoints().len() == 2).await;
    calls(&mut client, 20).await.unwrap();
    assert_eq!(shares(&servers), [20, 30, 20]);
    servers[0]
        .wait_for("its connection closes", |seen| seen.connections == 0)
        .await;
}
