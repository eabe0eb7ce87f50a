//! `evenkeel.slow_start`: a server that has just come gets little at first.

use evenkeel::ConnectivityState;
use evenkeel_testkit::within;

use super::until_shares;
use crate::{Client, all_ready, calls, channel, servers, shares, since, state_of, until};

#[tokio::test]
async fn a_server_that_comes_back_gets_little_at_first_and_its_full_share_in_the_end() {
    let mut servers = servers(2).await;
    let config = r#"{"loadBalancingConfig": [{"evenkeel.slow_start":
        {"window": "1s", "aggression": 0.5, "childPolicy": [{"round_robin": {}}]}}]}"#;
    let channel = channel(&servers, config).await;
    let mut client = Client::new(channel.clone());
    // At first both are equally new, so the first tries may show nothing. Without this policy
    // no try ever would: round_robin gives the second half of the calls.
    within("a small share", async {
        loop {
            servers[1].kill().await;
            until(&channel, "its loss", |channel| {
                state_of(channel, &servers[1]).unwrap().0 != ConnectivityState::Ready
            })
            .await;
            servers[1].restart().await.unwrap();
            all_ready(&channel, 2).await;
            let before = shares(&servers);
            calls(&mut client, 20).await.unwrap();
            if since(&servers, &before)[1] <= 5 {
                return;
            }
        }
    })
    .await;
    until_shares(&mut client, &servers, 20, |shares| shares == [10, 10]).await;
}
