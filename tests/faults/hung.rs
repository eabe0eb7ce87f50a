//! A server that hangs: a hedge bounds what its calls wait for. On a paused clock, which servers in
//! memory share, so that every time is exact.

mod network;

use std::time::Duration;

use evenkeel::{Channel, Connector};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_tests::{Client, all_ready, config};
use tokio::time::Instant;

use self::network::Network;

const SERVERS: usize = 4;
const CALLS: usize = 400;

/// What healthy servers take: 9 to 49 ms, each as often.
fn latency(call: u64) -> Duration {
    Duration::from_millis(9 + call * 37 % 41)
}

const HEDGING: &str = r#""hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "0.045s",
    "nonFatalStatusCodes": ["UNAVAILABLE"]}"#;

async fn channel(network: &Network, method: &str) -> Channel {
    let addresses: Vec<_> = (0..SERVERS).map(Network::address).collect();
    let channel = Channel::builder(format!("static:///{}", addresses.join(",")))
        .connector(Connector::new().with_io(network.clone()))
        .service_config(config("round_robin", method))
        .build()
        .unwrap();
    all_ready(&channel, SERVERS).await;
    channel
}

/// What 99 of 100 calls take at most.
async fn p99(channel: Channel) -> Duration {
    let mut client = Client::new(channel);
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        client.get_by_id(GetByIdRequest::default()).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[CALLS * 99 / 100 - 1]
}

#[tokio::test(start_paused = true)]
async fn with_hedging_p99_is_at_most_twice_that_of_healthy_servers() {
    let network = Network::new(SERVERS, latency);
    let healthy = p99(channel(&network, r#""waitForReady": false"#).await).await;
    assert_eq!(healthy, Duration::from_millis(49));

    let network = Network::new(SERVERS, latency);
    network.server(0).hang();
    let hedged = p99(channel(&network, HEDGING).await).await;
    assert!(hedged <= 2 * healthy, "{hedged:?}, not {healthy:?}");
    let begun: Vec<_> = (0..SERVERS).map(|at| network.server(at).begun()).collect();
    let attempts: u64 = begun.iter().sum();
    // A quarter of the calls meets it, and a tenth of the others takes longer than the delay.
    let calls = CALLS as u64;
    assert!(begun[0] >= calls / 4, "{begun:?}");
    assert!(attempts <= calls * 3 / 2, "{begun:?}");
    for at in 0..SERVERS {
        network.server(at).is_left_alone().await;
    }
}
