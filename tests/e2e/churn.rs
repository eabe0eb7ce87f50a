//! Endpoints that come and go while calls are running.

use evenkeel::{Channel, MemoryRegistry, Metadata};
use evenkeel_testkit::{UserServer, within};
use futures_util::StreamExt;

use crate::load::Load;
use crate::{Client, all_ready, calls, list, quick, servers, shares, until};

fn channel(registry: &MemoryRegistry, policy: &str) -> Channel {
    Channel::builder("memory:///user-service")
        .registry(registry)
        .service_config(format!(
            r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
        ))
        .backoff(quick())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_the_registry_and_coming_back_under_load_costs_no_call() {
    for policy in [
        "round_robin",
        "least_request",
        "custom_weighted_round_robin",
    ] {
        let servers = servers(3).await;
        let registry = MemoryRegistry::new();
        let register = |server: &UserServer| {
            let registration = registry.register("user-service", server.endpoint());
            registration.unwrap()
        };
        let mut registrations: Vec<_> = servers.iter().map(register).collect();
        let channel = channel(&registry, policy);
        all_ready(&channel, 3).await;
        let load = Load::start(&channel, 8);
        for round in 0..15 {
            load.pass(30).await;
            drop(registrations.remove(0));
            until(&channel, "two are left", |it| it.endpoints().len() == 2).await;
            load.pass(30).await;
            registrations.push(register(&servers[round % 3]));
            all_ready(&channel, 3).await;
        }
        let (done, failures) = load.stop().await;
        assert!(
            failures.is_empty(),
            "{policy}: {} of {done}: {:?}",
            failures.len(),
            failures[0]
        );
        assert_eq!(shares(&servers).iter().sum::<u64>(), done, "each call once");
        for server in &servers {
            // One for each of its lives; those it has left are closed.
            let one = server.wait_for("one connection", |seen| seen.connections == 1);
            let seen = one.await;
            assert_eq!((seen.accepted, seen.cancelled), (6, 0), "{policy}");
        }
    }
}

#[tokio::test]
async fn a_handle_that_nobody_calls_keeps_no_connection_to_one_that_has_left() {
    let servers = servers(2).await;
    let registry = MemoryRegistry::new();
    let register = |server: &UserServer| {
        let registration = registry.register("user-service", server.endpoint());
        registration.unwrap()
    };
    let mut registrations: Vec<_> = servers.iter().map(register).collect();
    let channel = channel(&registry, "round_robin");
    all_ready(&channel, 2).await;
    let mut idle = Client::new(channel.clone());
    calls(&mut idle, 2).await.unwrap();

    // A stream that runs there is not disturbed.
    servers[0].close_gate();
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(
            list(&mut Client::new(channel.clone()), 10)
                .await
                .into_inner(),
        );
    }
    drop(registrations.remove(0));
    until(&channel, "one is left", |it| it.endpoints().len() == 1).await;
    calls(&mut Client::new(channel), 10).await.unwrap();
    servers[0].open_gate();
    for stream in streams {
        let users: Vec<_> = within("all users", stream.collect()).await;
        assert_eq!(users.len(), 10);
        assert!(users.iter().all(Result::is_ok), "{users:?}");
    }
    let closed = servers[0].wait_for("its connection closes", |seen| seen.connections == 0);
    assert_eq!(closed.await.cancelled, 0);
    calls(&mut idle, 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_weights_under_load_costs_no_call_and_no_connection() {
    let servers = servers(3).await;
    let registry = MemoryRegistry::new();
    let register = |server: &UserServer| {
        let registration = registry.register("user-service", server.weighted(1.0));
        registration.unwrap()
    };
    let registrations: Vec<_> = servers.iter().map(register).collect();
    let channel = channel(&registry, "custom_weighted_round_robin");
    all_ready(&channel, 3).await;
    let load = Load::start(&channel, 8);
    for weight in 1..=100 {
        let registration = &registrations[weight % 3];
        // One in ten drains the endpoint for a while.
        let weight = (weight % 10) as f64;
        registration
            .update(Metadata::default().with_weight(weight))
            .unwrap();
        load.pass(10).await;
    }
    let (done, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures[0]
    );
    assert_eq!(shares(&servers).iter().sum::<u64>(), done, "each call once");
    for server in &servers {
        assert_eq!((server.seen().accepted, server.seen().cancelled), (1, 0));
    }
}
