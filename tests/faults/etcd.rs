//! The fault matrix of discovery and registration: each row is something that happens to a real etcd,
//! once with a single member (`one`) and once with three (`three`). Three servers register
//! themselves, a channel finds them, and calls are made all the time.
//!
//! In every row, while etcd is disturbed, one server dies without a word and another one starts. And
//! then:
//!
//! - no call has failed, and calls do not wait for a list that is empty: they fail (but for the row in
//!   which the channel has no list to begin with);
//! - within 5 s of the fault's end the channel has all servers that live, and sees one that comes;
//! - after a lease and 2 s more it has none that is dead, and neither has etcd.
//!
//! Without etcd on the machine every test is reported as skipped, by name.

mod registry;
mod rows;
mod world;

macro_rules! matrix {
    ($($row:ident),* $(,)?) => {
        mod one {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $row() {
                super::rows::$row(super::registry::Members::One).await;
            })*
        }
        mod three {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $row() {
                super::rows::$row(super::registry::Members::Three).await;
            })*
        }
    };
}

matrix![
    down_when_the_client_starts,
    down_when_servers_start,
    down_for_three_leases,
    the_member_that_is_watched_hangs,
    the_way_to_etcd_falls_silent,
    the_leader_is_killed,
    compacted_while_disconnected,
    restored_from_an_older_backup,
    replaced_by_an_empty_cluster,
    keys_deleted_by_hand,
    all_leases_revoked,
    tokens_expire,
    a_value_makes_no_sense,
    a_neighbour_has_the_prefix,
];
