//! Endpoints that come and go while calls are running.

use evenkeel::{Channel, MemoryRegistry, Metadata};
use evenkeel_testkit::UserServer;

use crate::load::Load;
use crate::{all_ready, quick, servers, shares, until};

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
