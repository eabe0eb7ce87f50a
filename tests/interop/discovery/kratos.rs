//! Kratos' applications, what they write of themselves, and its clients. Where that is kept in etcd is
//! written anew in `kratos/registry.go`: that Kratos' registry has it there too is not shown.

use evenkeel::Metadata;
use evenkeel_testkit::within;

use super::{Registry, call, only, or_skip, until};
use crate::go;

const SERVICE: &str = "helloworld";

#[tokio::test]
async fn applications_of_kratos_are_found_called_and_let_go() {
    let Some(registry) = Registry::start("kratos").await else {
        return;
    };
    let mut first = or_skip!(go::kratos(&registry.etcd, SERVICE));
    let mut second = or_skip!(go::kratos(&registry.etcd, SERVICE));
    let [one, two] = [&first, &second].map(|program| program.address().to_string());
    let added = first.ask(r#"add {"weight":"30","zone":"a"}"#).await;
    assert!(added.starts_with("added "), "{added}");

    let channel = registry.channel(SERVICE);
    call(&channel).await;
    let (address, metadata) = only(&channel);
    assert_eq!((address, metadata.weight), (one.clone(), Some(30.0)));
    assert_eq!(metadata.zone.as_deref(), Some("a"));
    assert_eq!(metadata.version.as_deref(), Some("v1.0.0"));

    second.ask("add {}").await;
    until(&channel, [&one, &two]).await;
    call(&channel).await;
    first.ask("delete").await;
    until(&channel, [&two]).await;
    call(&channel).await;
}

#[tokio::test]
async fn servers_of_ours_are_found_called_and_let_go_by_kratos() {
    let Some(registry) = Registry::start("kratos").await else {
        return;
    };
    let mut program = or_skip!(go::kratos(&registry.etcd, SERVICE));
    let mut metadata = Metadata::default().with_weight(10.0);
    metadata.version = Some("v2".into());
    let (first, leaving) = registry.register(SERVICE, metadata).await;
    let one = first.address().to_string();
    let instance = format!(
        r#"{{"id":"{one}","name":"helloworld","version":"v2","metadata":{{"weight":"10"}},"endpoints":["grpc://{one}"]}}"#
    );
    assert_eq!(program.ask("list").await, format!("found [{instance}]"));
    assert_eq!(program.ask("call").await, format!("called {one}"));

    // Its clients keep the last server they had, so there is another.
    let (second, _registration) = registry.register(SERVICE, Metadata::default()).await;
    let [one, two] = [one, second.address().to_string()].map(|it| format!("called {it}"));
    within("calls at the new server", async {
        while program.ask("call").await != two {}
    })
    .await;
    let gone = within("it is gone", leaving.deregister()).await;
    gone.unwrap();
    within("no calls at the old server", async {
        let mut since = 0;
        while since < 20 {
            since = if program.ask("call").await == one {
                0
            } else {
                since + 1
            };
        }
    })
    .await;
}
