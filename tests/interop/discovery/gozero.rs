//! go-zero's own publishers and subscribers.

use evenkeel::Metadata;
use evenkeel_testkit::interop::TestServer;
use evenkeel_testkit::within;

use super::{Registry, call, or_skip, until};
use crate::go;
use crate::process::Process;

const SERVICE: &str = "user.rpc";

/// Waits until a subscriber has exactly these.
async fn subscribed<'a>(program: &mut Process, addresses: impl IntoIterator<Item = &'a String>) {
    let mut addresses: Vec<_> = addresses.into_iter().map(String::as_str).collect();
    addresses.sort_unstable();
    let expected = [&["found"], &addresses[..]].concat().join(" ");
    within("what is subscribed to", async {
        while program.ask("list").await != expected {}
    })
    .await;
}

#[tokio::test]
async fn what_go_zero_publishes_is_found_and_it_subscribes_to_ours() {
    let Some(registry) = Registry::start("go-zero").await else {
        return;
    };
    let mut program = or_skip!(go::gozero(&registry.etcd));
    let (ours, leaving) = registry.register(SERVICE, Metadata::default()).await;
    let theirs = TestServer::start().unwrap();
    let [one, two] = [&ours, &theirs].map(|server| server.address().to_string());

    let channel = registry.channel(SERVICE);
    call(&channel).await;
    program.ask(&format!("watch {SERVICE}")).await;
    subscribed(&mut program, [&one]).await;
    program.ask(&format!("add {SERVICE} {two}")).await;
    until(&channel, [&one, &two]).await;
    call(&channel).await;
    subscribed(&mut program, [&one, &two]).await;

    let gone = within("it is gone", leaving.deregister()).await;
    gone.unwrap();
    subscribed(&mut program, [&two]).await;
    until(&channel, [&two]).await;
    call(&channel).await;
}

#[tokio::test]
async fn what_go_zero_takes_back_is_let_go() {
    let Some(registry) = Registry::start("go-zero").await else {
        return;
    };
    let mut program = or_skip!(go::gozero(&registry.etcd));
    let (ours, _registration) = registry.register(SERVICE, Metadata::default()).await;
    let theirs = TestServer::start().unwrap();
    let [one, two] = [&ours, &theirs].map(|server| server.address().to_string());
    program.ask(&format!("add {SERVICE} {two}")).await;
    let channel = registry.channel(SERVICE);
    until(&channel, [&one, &two]).await;
    program.ask("delete").await;
    until(&channel, [&one]).await;
    call(&channel).await;
}
