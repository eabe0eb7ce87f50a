//! Both ring hashes: a call's key decides.

use evenkeel::{Channel, ConnectivityState};
use evenkeel_testkit::pb::{GetByIdRequest, ListUsersRequest};
use evenkeel_testkit::{UserServer, within};
use tonic::{Request, Status};

use crate::{Client, addresses, builder, served_by, servers, until};

const RING: &str =
    r#"{"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "x-user"}}]}"#;
const BOUNDED: &str = r#"{"loadBalancingConfig": [{"evenkeel.ring_hash":
    {"hashOn": {"header": "x-user"}, "boundedLoadFactor": 1.25}}]}"#;

fn of_user<T>(message: T, user: usize) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("x-user", format!("user-{user}").parse().unwrap());
    request
}

/// Calls for `user`; gives the name of the server that answered.
async fn call(client: &mut Client, user: usize) -> Result<String, Status> {
    let request = of_user(GetByIdRequest { id: 7 }, user);
    let response = within("an answer", client.get_by_id(request)).await?;
    Ok(served_by(&response))
}

/// Which server answers each user.
async fn homes(client: &mut Client, users: usize) -> Vec<String> {
    let mut homes = Vec::new();
    for user in 0..users {
        homes.push(call(client, user).await.unwrap());
    }
    homes
}

fn idle(servers: &[UserServer], config: &str) -> Channel {
    let builder = builder(addresses(servers)).service_config(config);
    builder.build().unwrap()
}

fn accepted(servers: &[UserServer]) -> Vec<u64> {
    servers.iter().map(|one| one.seen().accepted).collect()
}

#[tokio::test]
async fn only_the_servers_that_calls_need_are_connected() {
    for config in [RING, BOUNDED] {
        let servers = servers(4).await;
        let channel = idle(&servers, config);
        until(&channel, "IDLE", |it| {
            it.state() == ConnectivityState::Idle && it.endpoints().len() == 4
        })
        .await;
        assert_eq!(accepted(&servers), [0, 0, 0, 0]);

        let mut client = Client::new(channel);
        let mut needed = Vec::new();
        for user in 0..30 {
            let name = call(&mut client, user).await.unwrap();
            assert_eq!(call(&mut client, user).await.unwrap(), name);
            needed.push(name);
            let is_needed = |one: &UserServer| u64::from(needed.iter().any(|it| it == one.name()));
            let expected: Vec<_> = servers.iter().map(is_needed).collect();
            assert_eq!(accepted(&servers), expected, "after user {user}");
        }
        assert_eq!(accepted(&servers), [1, 1, 1, 1], "30 users need all four");
    }
}

#[tokio::test]
async fn a_killed_server_moves_its_keys_only_and_they_come_home_later() {
    let mut servers = servers(4).await;
    let mut client = Client::new(idle(&servers, RING));
    let before = homes(&mut client, 60).await;
    assert_eq!(homes(&mut client, 60).await, before);

    let killed = servers[0].name().to_owned();
    let moving = before.iter().position(|home| *home == killed).unwrap();
    servers[0].kill().await;
    within("its loss to be noticed", async {
        while call(&mut client, moving).await.is_err() {}
    })
    .await;
    let without = homes(&mut client, 60).await;
    let mut heirs = Vec::new();
    for (before, after) in before.iter().zip(&without) {
        if *before == killed {
            assert_ne!(*after, killed);
            heirs.push(after);
        } else {
            assert_eq!(after, before, "a key of a server that lives");
        }
    }
    heirs.sort();
    heirs.dedup();
    assert!(heirs.len() > 1, "one heir for all keys: {heirs:?}");

    servers[0].restart().await.unwrap();
    within("a key comes home", async {
        while call(&mut client, moving).await.unwrap() != killed {}
    })
    .await;
    assert_eq!(homes(&mut client, 60).await, before);
}

#[tokio::test]
async fn a_hot_key_spreads_while_its_server_has_many_calls_in_flight() {
    for (config, is_bounded) in [(BOUNDED, true), (RING, false)] {
        let servers = servers(3).await;
        let mut client = Client::new(idle(&servers, config));
        homes(&mut client, 30).await;
        assert_eq!(accepted(&servers), [1, 1, 1], "30 users need all three");
        let home = call(&mut client, 1).await.unwrap();

        for server in &servers {
            server.close_gate();
        }
        let mut open = Vec::new();
        for _ in 0..12 {
            let list = ListUsersRequest {
                from_id: 1,
                count: 0,
            };
            let users = within("a stream", client.list_users(of_user(list, 1))).await;
            open.push(users.unwrap());
        }
        let at_home = open.iter().filter(|users| served_by(users) == home).count();
        if is_bounded {
            // Four each, and a quarter more.
            assert!((3..=6).contains(&at_home), "{at_home} of 12");
        } else {
            assert_eq!(at_home, 12);
        }

        drop(open);
        for _ in 0..20 {
            assert_eq!(call(&mut client, 1).await.unwrap(), home);
        }
    }
}
