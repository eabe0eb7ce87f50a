//! Discovery in etcd, both ways, with `go.etcd.io/etcd/client/v3/naming`: what grpc-go's users have.

use evenkeel::discover::{Registrar, Registration};
use evenkeel::etcd::{Etcd, EtcdConfig, EtcdRegistrar, RegistrarConfig};
use evenkeel::{Availability, Channel, Endpoint, Metadata};
use evenkeel_testkit::interop::TestServer;
use evenkeel_testkit::interop::pb::{Empty, test_service_client::TestServiceClient};
use evenkeel_testkit::{EtcdServer, skip, trace_init, within};

use crate::go;
use crate::process::Process;

/// Unwraps a program that may not be there; the test that needs it is reported as skipped then.
macro_rules! or_skip {
    ($program:expr) => {
        match $program.await {
            Ok(program) => program,
            Err(reason) => return skip::report(&reason),
        }
    };
}

fn config(etcd: &EtcdServer) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![etcd.endpoint()],
        ..EtcdConfig::default()
    }
}

fn channel(etcd: &EtcdServer, service: &str) -> Channel {
    let builder = Channel::builder(format!("etcd:///{service}")).etcd(config(etcd));
    let policy = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
    builder.service_config(policy).build().unwrap()
}

async fn call(channel: &Channel) {
    let mut client = TestServiceClient::new(channel.clone());
    let answer = within("an answer", client.empty_call(Empty {})).await;
    answer.unwrap();
}

/// Where a channel's endpoints are, in order.
fn addresses(channel: &Channel) -> Vec<String> {
    let endpoints = channel.endpoints();
    let addresses = endpoints.iter().map(|report| report.endpoint.to_string());
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort();
    addresses
}

/// Waits until those are exactly the channel's endpoints.
async fn until(channel: &Channel, mut expected: Vec<String>) {
    expected.sort();
    within("the endpoints as expected", async {
        loop {
            let changed = channel.changed();
            if addresses(channel) == expected {
                return;
            }
            changed.await;
        }
    })
    .await;
}

/// One of our servers, registered as `service`.
async fn registered(etcd: &EtcdServer, service: &str) -> (TestServer, EtcdRegistrar, Registration) {
    let server = TestServer::start().unwrap();
    let registrar = RegistrarConfig {
        allow_loopback: true,
        ..RegistrarConfig::default()
    };
    let registrar = EtcdRegistrar::new(Etcd::new(config(etcd)).unwrap(), registrar).unwrap();
    let metadata = Metadata::default().with_weight(10.0);
    let endpoint = Endpoint::new(server.address()).with_metadata(metadata);
    let registration = registrar.register(service, endpoint).unwrap();
    let written = within("it is registered", registration.registered()).await;
    written.unwrap();
    (server, registrar, registration)
}

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
    trace_init();
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    const SERVICE: &str = "service/user";
    let mut first = or_skip!(go::naming(&etcd, SERVICE));
    let mut second = or_skip!(go::naming(&etcd, SERVICE));
    let one = add(&mut first, SERVICE, r#"{"weight":30,"zone":"a"}"#).await;

    let channel = channel(&etcd, SERVICE);
    call(&channel).await;
    let endpoints = channel.endpoints();
    let [report] = &endpoints[..] else {
        panic!("{endpoints:?}");
    };
    let metadata = report.endpoint.metadata();
    assert_eq!(report.endpoint.to_string(), one);
    assert_eq!(metadata.weight, Some(30.0));
    assert_eq!(metadata.zone.as_deref(), Some("a"));

    let two = add(&mut second, SERVICE, "null").await;
    until(&channel, vec![one.clone(), two.clone()]).await;
    call(&channel).await;
    assert_eq!(
        first.ask("delete").await,
        format!("deleted {SERVICE}/{one}")
    );
    until(&channel, vec![two]).await;
    call(&channel).await;
}

#[tokio::test]
async fn a_server_of_ours_is_found_called_and_let_go_by_go() {
    trace_init();
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    const SERVICE: &str = "user-service";
    let mut program = or_skip!(go::naming(&etcd, SERVICE));
    let (server, _registrar, registration) = registered(&etcd, SERVICE).await;
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
    trace_init();
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let mut user = or_skip!(go::naming(&etcd, "user"));
    let mut admin = or_skip!(go::naming(&etcd, "user-admin"));
    let theirs = add(&mut user, "user", r#"{"weight":10}"#).await;
    let others = add(&mut admin, "user-admin", r#"{"weight":10}"#).await;
    let (server, _registrar, _registration) = registered(&etcd, "user").await;
    let (_other, _registrar, _registration) = registered(&etcd, "user-admin").await;
    let ours = server.address().to_string();

    let channel = channel(&etcd, "user");
    until(&channel, vec![theirs.clone(), ours.clone()]).await;
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
