//! Another policy while calls are made.

use evenkeel::discover::StaticDiscover;
use evenkeel::service_config::LiveConfig;
use evenkeel::{BalanceLayer, ConnectLayer, Connector};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::{UserServer, within};
use tower_layer::Layer;

use crate::{ROUND_ROBIN, servers, shares, since};

const PICK_FIRST: &str = r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#;
const WEIGHTED: &str = r#"{"loadBalancingConfig": [{"custom_weighted_round_robin": {}}]}"#;
const ONE_OF_THREE: &str = r#"{"loadBalancingConfig": [{"random_subsetting_experimental":
    {"subsetSize": 1, "childPolicy": [{"round_robin": {}}]}}]}"#;
const WRONG: &str = r#"{"loadBalancingConfig": [{"round_robin": {}, "pick_first": {}}]}"#;

#[tokio::test]
async fn no_call_fails_while_policies_change_and_each_takes_over() {
    let servers = servers(3).await;
    let weights = servers.iter().zip([1.0, 2.0, 3.0]);
    let endpoints = weights.map(|(server, weight)| server.weighted(weight));
    let config = LiveConfig::default();
    config.update(ROUND_ROBIN).unwrap();
    let connected = ConnectLayer::new(Connector::new()).layer(StaticDiscover::new(endpoints));
    let mut client = UserServiceClient::new(BalanceLayer::live(&config).layer(connected));
    let orders: [(&str, [u64; 3]); 6] = [
        (ROUND_ROBIN, [20, 20, 20]),
        (WEIGHTED, [10, 20, 30]),
        (PICK_FIRST, [60, 0, 0]),
        (ROUND_ROBIN, [20, 20, 20]),
        (ONE_OF_THREE, [0, 0, 60]),
        (WEIGHTED, [10, 20, 30]),
    ];
    for (json, expected) in orders {
        config.update(json).unwrap();
        config.update(WRONG).unwrap_err();
        within("the shares of the new policy", async {
            loop {
                let before = shares(&servers);
                for id in 0..60 {
                    client.get_by_id(GetByIdRequest { id }).await.unwrap();
                }
                let mut shares = since(&servers, &before);
                if json == ONE_OF_THREE {
                    // Whichever it has chosen.
                    shares.sort_unstable();
                }
                if shares == expected {
                    return;
                }
            }
        })
        .await;
    }
    let first = UserServer::seen(&servers[0]);
    assert_eq!(first.cancelled, 0);
}
