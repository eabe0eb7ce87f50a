//! The whole stack by hand: what `Channel::builder` builds, as layers over a stream of endpoints.

use std::collections::BTreeMap;
use std::error::Error;

use evenkeel::discover::MemoryRegistry;
use evenkeel::{BalanceLayer, BreakerConfig, BreakerLayer, ConnectLayer, Connector, DeadlineLayer};
use evenkeel::{EndpointLayer, RetryLayer, ServiceConfig};
use evenkeel_testkit::UserServer;
use evenkeel_testkit::pb::{GetByIdRequest, user_service_client::UserServiceClient};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = MemoryRegistry::new();
    let mut servers = Vec::new();
    for weight in [10.0, 20.0, 30.0] {
        let server = UserServer::start().await?;
        let registration = registry.register("user-service", server.weighted(weight))?;
        servers.push((registration, server));
    }

    let config = ServiceConfig::parse(include_str!("../service-config.json"))?;
    // From the call at the top to the endpoints at the bottom.
    let channel = ServiceBuilder::new()
        .layer(RetryLayer::new(&config).with_deadline(DeadlineLayer::new(&config)))
        .layer(BalanceLayer::new(&config))
        // Your own layers around each endpoint go here, beside the breaker.
        .layer(EndpointLayer::new(BreakerLayer::new(
            BreakerConfig::default(),
        )))
        .layer(ConnectLayer::new(Connector::new()))
        .service(registry.watch("user-service"));
    let mut client = UserServiceClient::new(channel);

    let mut calls = BTreeMap::<_, u32>::new();
    for id in 0..600 {
        if id == 300 {
            // Nobody is told, and no call is lost: they fail over.
            servers[2].1.kill().await;
        }
        let response = client.get_by_id(GetByIdRequest { id }).await?;
        let server = response.metadata().get("served-by").cloned();
        *calls.entry(server).or_default() += 1;
    }
    for (server, calls) in calls {
        println!("{server:?} answered {calls} calls");
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
