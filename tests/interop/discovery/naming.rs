//! Discovery in etcd, both ways, with `go.etcd.io/etcd/client/v3/naming`: what grpc-go's users have.

use evenkeel::{Availability, Metadata};
use evenkeel_testkit::within;

use super::{Registry, call, only, or_skip, until};
use crate::go;
use crate::process::Process;

/// What a program finds: keys and endpoints, as Go writes them.
fn found(endpoints: &[(&str, &str, &str)]) -> String {
    let endpoint = |(service, address, metadata): &(&str, &str, &str)| {
        format!(r#""{service}/{address}":{{"Addr":"{address}","Metadata":{metadata}}}"#)
    };
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    format!("found {{{}}}", endpoints.join(","))
}

async fn add(program: &mut Process, service: &str, metadata: &str) -> String {
    let address = program.address().to_string();
    let added = program.ask(&format!("add {metadata}")).await;
    assert_eq!(added, format!("added {service}/{address}"));
    address
}

#[tokio::test]
async fn servers_that_go_registers_are_found_called_and_let_go() {
    let Some(registry) = Registry::start("go").await else {
        return;
    };
    let etcd = &registry.etcd;
    const SERVICE: &str = "service/user";
    let mut first = or_skip!(go::naming(etcd, SERVICE));
    let mut second = or_skip!(go::naming(etcd, SERVICE));
    let one = add(&mut first, SERVICE, r#"{"weight":30,"zone":"a"}"#).await;

    let channel = registry.channel(SERVICE);
    call(&channel).await;
    let (address, metadata) = only(&channel);
    assert_eq!((&address, metadata.weight), (&one, Some(30.0)));
    assert_eq!(metadata.zone.as_deref(), Some("a"));

    let two = add(&mut second, SERVICE, "null").await;
    until(&channel, [&one, &two]).await;
    call(&channel).await;
    assert_eq!(
        first.ask("delete").await,
        format!("deleted {SERVICE}/{one}")
    );
    until(&channel, [&two]).await;
    call(&channel).await;
}

/// The only one that there was may have been lost by etcd, and Go has no word for a goodbye.
#[tokio::test]
async fn the_last_server_of_go_is_kept_until_nobody_listens_there() {
    let Some(registry) = Registry::start("go").await else {
        return;
    };
    const SERVICE: &str = "user";
    let mut program = or_skip!(go::naming(&registry.etcd, SERVICE));
    let address = add(&mut program, SERVICE, r#"{"weight":10}"#).await;
    let channel = registry.channel(SERVICE);
    call(&channel).await;
    program.ask("delete").await;
    // A server that comes and goes later: its coming is known, so the deletion was, too.
    let (ours, registration) = registry.register(SERVICE, Metadata::default()).await;
    let ours = ours.address().to_string();
    until(&channel, [&address, &ours]).await;
    let gone = within("it is gone", registration.deregister()).await;
    gone.unwrap();
    until(&channel, [&address]).await;
    call(&channel).await;
    drop(program);
    until(&channel, []).await;
}

#[tokio::test]
async fn a_server_of_ours_is_found_called_and_let_go_by_go() {
    let Some(registry) = Registry::start("go").await else {
        return;
    };
    let etcd = &registry.etcd;
    const SERVICE: &str = "user-service";
    let mut program = or_skip!(go::naming(etcd, SERVICE));
    let weight = Metadata::default().with_weight(10.0);
    let (server, registration) = registry.register(SERVICE, weight).await;
    let address = server.address().to_string();
    let called = format!("called {address}");
    let weighted = found(&[(SERVICE, &address, r#"{"weight":10}"#)]);
    assert_eq!(program.ask("list").await, weighted);
    assert_eq!(program.ask("call").await, called);

    // It can be seen there, and etcd's resolver does not look.
    let metadata = Metadata::default().with_availability(Availability::Draining);
    registration.update(metadata).unwrap();
    let written = within("it is written", registration.registered()).await;
    written.unwrap();
    let draining = found(&[(SERVICE, &address, r#"{"status":"draining"}"#)]);
    assert_eq!(program.ask("list").await, draining);
    assert_eq!(program.ask("call").await, called);

    let gone = within("it is gone", registration.deregister()).await;
    gone.unwrap();
    assert_eq!(program.ask("list").await, found(&[]));
    within("a resolver without servers", async {
        while program.ask("call").await != "failed Unavailable" {}
    })
    .await;
}

#[tokio::test]
async fn neither_side_sees_a_neighbour_whose_name_is_longer() {
    let Some(registry) = Registry::start("go").await else {
        return;
    };
    let etcd = &registry.etcd;
    let mut user = or_skip!(go::naming(etcd, "user"));
    let mut admin = or_skip!(go::naming(etcd, "user-admin"));
    let theirs = add(&mut user, "user", r#"{"weight":10}"#).await;
    let others = add(&mut admin, "user-admin", r#"{"weight":10}"#).await;
    let weight = Metadata::default().with_weight(10.0);
    let (server, _registration) = registry.register("user", weight.clone()).await;
    let _admin = registry.register("user-admin", weight).await;
    let ours = server.address().to_string();

    let channel = registry.channel("user");
    until(&channel, [&theirs, &ours]).await;
    let mut both = [theirs, ours];
    both.sort();
    let both = both
        .each_ref()
        .map(|address| ("user", &**address, r#"{"weight":10}"#));
    assert_eq!(user.ask("list").await, found(&both));
    for _ in 0..10 {
        let called = user.ask("call").await;
        assert!(
            both.iter().any(|one| called == format!("called {}", one.1)),
            "{called}"
        );
        assert_ne!(called, format!("called {others}"));
    }
}
