//! Each LB policy, selected by JSON and seen by the servers.

mod load_reports;
mod locality;
mod outliers;
mod panic;
mod reactions;
mod registered_weights;
mod ring_hash;
mod routing;
mod slow_start;
mod subsets;
mod switch;
mod turns;

use evenkeel::discover::Registration;
use evenkeel::{Channel, ChannelBuilder, MemoryRegistry, Metadata};
use evenkeel_testkit::{StoppedClock, UserServer, within};

use crate::{Client, call, calls, quick, shares, since};

const SERVICE: &str = "user-service";

/// A channel to what `registry` has.
fn registered(registry: &MemoryRegistry, config: &str) -> ChannelBuilder {
    Channel::builder(format!("memory:///{SERVICE}"))
        .registry(registry)
        .service_config(config)
        .backoff(quick())
}

/// Registers each server with the metadata of its place.
fn register<const N: usize>(
    registry: &MemoryRegistry,
    servers: &[UserServer],
    metadata: [Metadata; N],
) -> Vec<Registration> {
    let endpoints = servers.iter().zip(metadata);
    endpoints
        .map(|(server, metadata)| {
            let endpoint = server.endpoint().with_metadata(metadata);
            registry.register(SERVICE, endpoint).unwrap()
        })
        .collect()
}

/// Makes `count` calls at a time until `are_due` holds for how they were shared.
async fn until_shares(
    client: &mut Client,
    servers: &[UserServer],
    count: usize,
    are_due: impl Fn(&[u64]) -> bool,
) {
    within("the shares", async {
        loop {
            let before = shares(servers);
            calls(client, count).await.unwrap();
            if are_due(&since(servers, &before)) {
                return;
            }
        }
    })
    .await;
}

/// The same, where calls may fail: servers were told to, or have just been killed.
async fn until_shares_despite_failures(
    client: &mut Client,
    servers: &[UserServer],
    count: usize,
    are_due: impl Fn(&[u64]) -> bool,
) {
    within("the shares", async {
        loop {
            let before = shares(servers);
            for _ in 0..count {
                let _ = call(client).await;
            }
            if are_due(&since(servers, &before)) {
                return;
            }
        }
    })
    .await;
}
