//! `evenkeel.slow_start`: a server that has just come gets little at first.

use std::time::Duration;

use evenkeel::{MemoryRegistry, Metadata};
use tokio::time::advance;

use super::{SERVICE, StoppedClock, register, registered};
use crate::{Client, all_ready, calls, servers, shares, since};

/// The default.
const WINDOW: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_new_server_gets_little_at_first_and_its_full_share_in_the_end() {
    let _stopped = StoppedClock::new();
    let servers = servers(2).await;
    let registry = MemoryRegistry::new();
    let _first = register(&registry, &servers, [Metadata::default()]);
    let config = r#"{"loadBalancingConfig": [{"evenkeel.slow_start":
        {"childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = registered(&registry, config).build().unwrap();
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 10).await.unwrap();
    advance(WINDOW).await;

    let _second = registry.register(SERVICE, servers[1].endpoint()).unwrap();
    all_ready(&channel, 2).await;
    // A tenth of what the first one gets, then half of it, then the same: five times the standard
    // deviation each.
    for (passed, least, most) in [(0, 1, 40), (15, 34, 100), (15, 100, 100)] {
        let changed = channel.changed();
        advance(Duration::from_secs(passed)).await;
        if passed > 0 {
            changed.await;
        }
        let before = shares(&servers);
        calls(&mut client, 200).await.unwrap();
        let share = since(&servers, &before)[1];
        assert!((least..=most).contains(&share), "{share} after {passed} s");
    }
}
