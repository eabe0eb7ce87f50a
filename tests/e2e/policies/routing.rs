//! `evenkeel.metadata_routing`: headers say which servers may answer.

use std::sync::Arc;

use evenkeel::errors::cause;
use evenkeel::policy::lb::{NoMatch, RoutingStats};
use evenkeel::service_config::MetadataRoutingFactory;
use evenkeel::{Channel, MemoryRegistry, Metadata, PolicyRegistry};
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::{UserServer, within};
use tonic::{Code, Request, Status};

use super::{register, registered};
use crate::{Client, all_ready, served_by, servers, until};

fn on(version: &str, region: &str) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.version = Some(version.to_owned());
    metadata.region = Some(region.to_owned());
    metadata
}

/// v1 in the EU, v1 in the US, v2 in the EU.
fn places() -> [Metadata; 3] {
    [on("v1", "eu"), on("v1", "us"), on("v2", "eu")]
}

const CONFIG: &str = r#"{"loadBalancingConfig": [{"evenkeel.metadata_routing": {
    "routes": [
        {"header": "x-version", "metadata": "version", "default": "v1"},
        {"header": "x-region", "metadata": "region", "fallbacks": ["us"]}],
    "childPolicy": [{"round_robin": {}}]}}]}"#;

/// Calls with these headers; gives the place of the server that answered.
async fn call(
    client: &mut Client,
    servers: &[UserServer],
    headers: &[(&'static str, &'static str)],
) -> Result<usize, Status> {
    let mut request = Request::new(GetByIdRequest { id: 7 });
    for (name, value) in headers {
        let value = value.parse().unwrap();
        request.metadata_mut().insert(*name, value);
    }
    let response = within("an answer", client.get_by_id(request)).await?;
    let name = served_by(&response);
    Ok(servers.iter().position(|one| one.name() == name).unwrap())
}

async fn channel(registry: &MemoryRegistry, stats: &Arc<RoutingStats>) -> Channel {
    let mut policies = PolicyRegistry::default();
    policies.register(MetadataRoutingFactory::counting_in(stats.clone()));
    let builder = registered(registry, CONFIG).policies(policies);
    let channel = builder.build().unwrap();
    all_ready(&channel, 3).await;
    channel
}

#[tokio::test]
async fn a_call_goes_where_its_headers_and_the_defaults_say() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let _registrations = register(&registry, &servers, places());
    let stats = Arc::new(RoutingStats::new());
    let mut client = Client::new(channel(&registry, &stats).await);
    for (headers, expected) in [
        (&[("x-region", "eu")][..], &[0][..]),
        (&[("x-region", "us")], &[1]),
        (&[("x-version", "v2")], &[2]),
        (&[("x-version", "v2"), ("x-region", "eu")], &[2]),
        (&[("x-version", "v1")], &[0, 1]),
        (&[], &[0, 1]),
    ] {
        let mut seen = [0; 3];
        for _ in 0..10 {
            seen[call(&mut client, &servers, headers).await.unwrap()] += 1;
        }
        for (place, calls) in seen.into_iter().enumerate() {
            let share = match expected.contains(&place) {
                true => 10 / expected.len(),
                false => 0,
            };
            assert_eq!(calls, share, "server {place}, {headers:?}");
        }
    }
    assert_eq!((stats.fallbacks(), stats.failures()), (0, 0));
}

#[tokio::test]
async fn a_fallback_is_used_while_there_is_nothing_else_and_counted() {
    let mut servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let mut registrations = register(&registry, &servers, places());
    let stats = Arc::new(RoutingStats::new());
    let channel = channel(&registry, &stats).await;
    let mut client = Client::new(channel.clone());
    let european = [("x-region", "eu")];

    servers[0].kill().await;
    within("the fallback", async {
        // Calls may fail until the loss is noticed.
        while call(&mut client, &servers, &european).await.ok() != Some(1) {}
    })
    .await;
    let before = stats.fallbacks();
    assert!(before > 0);
    for _ in 0..10 {
        assert_eq!(call(&mut client, &servers, &european).await.unwrap(), 1);
    }
    assert_eq!(stats.fallbacks(), before + 10);

    servers[0].restart().await.unwrap();
    all_ready(&channel, 3).await;
    assert_eq!(call(&mut client, &servers, &european).await.unwrap(), 0);
    assert_eq!(stats.fallbacks(), before + 10);

    // Who leaves is no longer asked, and who changes its metadata is asked for another.
    drop(registrations.remove(0));
    registrations[1].update(on("v1", "eu")).unwrap();
    let is_moved = |channel: &Channel| {
        let endpoints = channel.endpoints();
        endpoints.len() == 2 && *endpoints[1].endpoint.metadata() == on("v1", "eu")
    };
    until(&channel, "the new metadata", is_moved).await;
    assert_eq!(call(&mut client, &servers, &european).await.unwrap(), 2);
}

#[tokio::test]
async fn a_call_that_nobody_matches_fails_and_says_what_there_is() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let _registrations = register(&registry, &servers, places());
    let stats = Arc::new(RoutingStats::new());
    let mut client = Client::new(channel(&registry, &stats).await);
    let unknown = [("x-version", "v3")];
    let status = call(&mut client, &servers, &unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let no_match = cause::<NoMatch>(&status).expect("the reason is that none matches");
    assert!(no_match.asked.contains("v3"), "{no_match}");
    assert!(no_match.there_is.contains("v2"), "{no_match}");
    assert_eq!(stats.failures(), 1);
}
