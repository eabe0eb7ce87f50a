//! What happens to etcd.

use std::time::Duration;

use etcd_client::DeleteOptions;
use evenkeel_tests::{Process, SERVICE, TTL};
use tokio::time::sleep;

use super::registry::{Members, Registry};
use super::world::{Calls, World, keys};

pub(crate) async fn down_when_the_client_starts(members: Members) {
    let Some(mut registry) = Registry::start(members).await else {
        return;
    };
    let config = registry.config();
    let living = vec![
        Process::start(&config, 1.0).await,
        Process::start(&config, 1.0).await,
    ];
    registry.stop().await;
    let mut world = World::of(registry, living, Calls::WaitForReady).await;
    // Nothing to call yet, so this waits for nobody.
    world.one_comes().await;
    world.servers_notice().await;
    world.registry.start_again().await;
    world.recovers().await;
}

pub(crate) async fn down_when_servers_start(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.registry.stop().await;
    for _ in 0..3 {
        world.one_comes().await;
    }
    world.one_dies_and_one_comes().await;
    world.servers_notice().await;
    world.registry.start_again().await;
    world.recovers().await;
}

pub(crate) async fn down_for_three_leases(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.registry.stop().await;
    world.one_dies_and_one_comes().await;
    sleep(3 * TTL).await;
    world.calls_go_on().await;
    world.registry.start_again().await;
    world.recovers().await;
}

/// With three members, each hangs in turn, so that one of them is the one that is watched, and one the
/// leader. The others go on, and so does discovery.
pub(crate) async fn the_member_that_is_watched_hangs(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    for n in 0..world.registry.count() {
        world.registry.member(n).pause();
        world.one_dies_and_one_comes().await;
        match members {
            Members::One => sleep(3 * TTL).await,
            Members::Three => world.sees_the_living().await,
        }
        world.calls_go_on().await;
        world.registry.member(n).resume();
    }
    world.recovers().await;
}

/// Nothing answers and nothing is refused, as when a firewall has forgotten a connection.
pub(crate) async fn the_way_to_etcd_falls_silent(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.silence().await;
    world.one_dies_and_one_comes().await;
    for process in &world.living {
        process.registered().await;
    }
    sleep(3 * TTL).await;
    world.calls_go_on().await;
    world.reconnect().await;
    world.recovers().await;
}

pub(crate) async fn the_leader_is_killed(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    let leader = world.registry.leader().await;
    world.registry.member(leader).kill().await;
    world.one_dies_and_one_comes().await;
    match members {
        Members::One => world.servers_notice().await,
        Members::Three => world.sees_the_living().await,
    }
    world.registry.start_again().await;
    world.recovers().await;
}

pub(crate) async fn compacted_while_disconnected(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.disconnect().await;
    world.one_dies_and_one_comes().await;
    for process in &world.living {
        process.registered().await;
    }
    let mut client = world.registry.client().await;
    let last = client.put("elsewhere", "", None).await.unwrap();
    let last = last.header().unwrap().revision();
    client.compact(last, None).await.unwrap();
    world.calls_go_on().await;
    world.reconnect().await;
    world.recovers().await;
}

/// The backup knows a server that has gone since, and its lease.
pub(crate) async fn restored_from_an_older_backup(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.registry.stop().await;
    let backup = world.registry.backup();
    world.registry.start_again().await;
    world.one_dies_and_one_comes().await;
    // History goes on, so that the backup is a long way back.
    let mut client = world.registry.client().await;
    for n in 0..100 {
        client.put("elsewhere", n.to_string(), None).await.unwrap();
    }
    world.sees_the_living().await;
    world.registry.stop().await;
    world.registry.restore(&backup);
    world.calls_go_on().await;
    world.registry.start_again().await;
    world.recovers().await;
}

/// With another id, and at revision 1.
pub(crate) async fn replaced_by_an_empty_cluster(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.registry.stop().await;
    world.registry.wipe();
    world.one_dies_and_one_comes().await;
    world.registry.start_again().await;
    world.recovers().await;
}

pub(crate) async fn keys_deleted_by_hand(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    let mut client = world.registry.client().await;
    let one = keys(&world.registry).await.swap_remove(0);
    client
        .delete(format!("{SERVICE}/{one}"), None)
        .await
        .unwrap();
    world.calls_go_on().await;
    world.one_dies_and_one_comes().await;
    let all = DeleteOptions::new().with_prefix();
    client
        .delete(format!("{SERVICE}/"), Some(all))
        .await
        .unwrap();
    world.calls_go_on().await;
    world.recovers().await;
}

/// As a leader does that was not there for a while, and takes all leases for expired.
pub(crate) async fn all_leases_revoked(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    world.one_dies_and_one_comes().await;
    let mut client = world.registry.client().await;
    let leases = client.leases().await.unwrap();
    for lease in leases.leases() {
        client.lease_revoke(lease.id()).await.unwrap();
    }
    world.calls_go_on().await;
    world.recovers().await;
}

/// Twice: because their time is up, and because another user is added.
pub(crate) async fn tokens_expire(members: Members) {
    const TOKEN: Duration = Duration::from_secs(2);
    let Some(registry) = Registry::with_tokens(members, TOKEN).await else {
        return;
    };
    let mut world = World::at(registry).await;
    sleep(2 * TOKEN).await;
    world.one_dies_and_one_comes().await;
    world.sees_the_living().await;
    let mut client = world.registry.client().await;
    client.user_add("somebody", "else", None).await.unwrap();
    world.one_dies_and_one_comes().await;
    world.sees_the_living().await;
    sleep(2 * TOKEN).await;
    world.calls_go_on().await;
    world.recovers().await;
}

/// Under a key of its own, and then under a server's.
pub(crate) async fn a_value_makes_no_sense(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    let mut client = world.registry.client().await;
    let nonsense = format!("{SERVICE}/nonsense");
    for value in ["", "oops", r#"{"Addr": 1}"#, r#"{"Addr":"0.0.0.0:1"}"#] {
        client.put(nonsense.as_str(), value, None).await.unwrap();
    }
    // Of one that stays: a key that is not its lease's any more is nobody's if its server dies.
    let theirs = world.living[1].server.address();
    let theirs = format!("{SERVICE}/{theirs}");
    client.put(theirs, "oops", None).await.unwrap();
    world.one_dies_and_one_comes().await;
    world.sees_the_living().await;
    // What no server keeps alive, nobody takes away again.
    client.delete(nonsense, None).await.unwrap();
    world.recovers().await;
}

/// `user-service-admin` and `user-service` itself are other services.
pub(crate) async fn a_neighbour_has_the_prefix(members: Members) {
    let Some(mut world) = World::start(members).await else {
        return;
    };
    let mut client = world.registry.client().await;
    // Nobody listens there: a call that went there would fail, or take an attempt.
    let value = r#"{"Op":0,"Addr":"127.0.0.1:1"}"#;
    for key in ["-admin/127.0.0.1:1", "2/127.0.0.1:1", ""] {
        let key = format!("{SERVICE}{key}");
        client.put(key, value, None).await.unwrap();
    }
    world.one_dies_and_one_comes().await;
    world.sees_the_living().await;
    world.recovers().await;
}
