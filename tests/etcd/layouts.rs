//! Key layouts of others, as their keys are in a real etcd.

use std::sync::Arc;

use evenkeel_core::{Availability, Endpoint, Metadata};
use evenkeel_discover::{RegisterError, Registrar};
use evenkeel_etcd::{
    AutoDetect, Codec, Etcd, EtcdConfig, EtcdRegistrar, Kratos, RegistrarConfig, codec_named,
};
use evenkeel_testkit::{EtcdServer, Log, within};

use crate::seen::{Seen, config};

/// Layout, service, key and value of the server 10.0.0.1:80 with the weight 10.
const SERVERS: &[(&str, &str, &str, &str)] = &[
    (
        "go",
        "service/user",
        "service/user/1",
        r#"{"Addr":"10.0.0.1:80","Metadata":{"weight":10}}"#,
    ),
    (
        "kratos",
        "user",
        "/microservices/user/8f5e7c1a",
        r#"{"id":"8f5e7c1a","name":"user","metadata":{"weight":"10"},"endpoints":["grpc://10.0.0.1:80"]}"#,
    ),
    (
        "kitex",
        "user",
        "kitex/registry-etcd/user/10.0.0.1:80",
        r#"{"network":"tcp","address":"10.0.0.1:80","weight":10,"tags":null}"#,
    ),
    (
        "dubbo",
        "user",
        "/services/user/10.0.0.1:80",
        r#"{"ServiceName":"user","Host":"10.0.0.1","Port":80,"Weight":10,"Enable":true,"Healthy":true}"#,
    ),
    (
        "dubbo-interface",
        "com.acme.User",
        "/dubbo/com.acme.User/providers/tri%3A%2F%2F10.0.0.1%3A80%2Fcom.acme.User%3Fweight%3D10",
        "",
    ),
    (
        "go-micro",
        "user",
        "/micro/registry/user/user-1",
        r#"{"name":"user","nodes":[{"address":"10.0.0.1:80","metadata":{"protocol":"grpc","weight":"10"}}]}"#,
    ),
    (
        "fyer",
        "user",
        "/fyerrpc/services/user/1.0.0/1",
        r#"{"service":"user","address":"10.0.0.1:80","metadata":{"weight":"10"},"status":1}"#,
    ),
    (
        "rpcx",
        "user",
        "/rpcx/user/tcp@10.0.0.1:80",
        "weight=10&state=active",
    ),
    (
        "goframe",
        "user",
        "/service/default/default/user/latest/10.0.0.1:80",
        r#"{"protocol":"grpc","weight":10}"#,
    ),
    (
        "skydns",
        "user.local",
        "/skydns/local/user/x1",
        r#"{"host":"10.0.0.1","port":80,"weight":10}"#,
    ),
];

/// What frameworks write beside their servers.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("/rpcx", "rpcx_path"),
    ("/rpcx/user", "user"),
    ("/dubbo", ""),
    ("/dubbo/com.acme.User", ""),
    ("/dubbo/com.acme.User/providers", ""),
    (
        "/dubbo/com.acme.User/consumers/consumer%3A%2F%2F10.0.0.9%2Fcom.acme.User",
        "",
    ),
];

fn with(server: &EtcdServer, codec: Arc<dyn Codec>) -> EtcdConfig {
    EtcdConfig {
        codec,
        ..config(server)
    }
}

fn seen(server: &EtcdServer, codec: Arc<dyn Codec>, service: &str) -> Seen {
    Seen::of(Etcd::new(with(server, codec)).unwrap(), service)
}

fn registrar(config: EtcdConfig) -> EtcdRegistrar {
    EtcdRegistrar::new(Etcd::new(config).unwrap(), RegistrarConfig::default()).unwrap()
}

fn endpoint(metadata: Metadata) -> Endpoint {
    let address: evenkeel_core::Address = "10.0.0.1:80".parse().unwrap();
    Endpoint::new(address).with_metadata(metadata)
}

#[tokio::test]
async fn each_layout_finds_its_own_servers_among_all_others() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    for (_, _, key, value) in SERVERS {
        client.put(*key, *value, None).await.unwrap();
    }
    for (key, value) in PLACEHOLDERS {
        client.put(*key, *value, None).await.unwrap();
    }
    // Neighbours with a longer name, and those below if the layout can tell.
    for (layout, service, key, value) in SERVERS {
        let prefix = codec_named(layout).unwrap().prefix(service);
        let beginning = prefix.trim_end_matches("providers/").trim_end_matches('/');
        let is_told = !matches!(*layout, "go" | "skydns");
        let names = ["-admin", "/admin"].into_iter();
        for more in names.take(1 + usize::from(is_told)) {
            let rest = key.strip_prefix(beginning).unwrap();
            let key = format!("{beginning}{more}{rest}").replace("10.0.0.1", "10.0.0.9");
            assert!(!key.starts_with(&prefix) || more == "/admin", "{key}");
            let value = value.replace("10.0.0.1", "10.0.0.9");
            let value = value.replace(r#""user""#, &format!(r#""user{more}""#));
            client.put(key, value, None).await.unwrap();
        }
    }
    for (layout, service, key, _) in SERVERS {
        let mut seen = seen(&server, codec_named(layout).unwrap(), service);
        seen.until_list(&["10.0.0.1:80*10"]).await;
        client.delete(*key, None).await.unwrap();
        // Only once it was the last of them.
        seen.until("nobody", |seen| seen.report.is_some()).await;
        assert_eq!(seen.changes, 2, "{layout}");
        assert_eq!(seen.discover.stats().decode_errors(), 0, "{layout}");
    }
}

#[tokio::test]
async fn a_guess_finds_servers_of_several_layouts_under_one_prefix() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    for (key, value) in [
        (
            "user/1",
            r#"{"Addr":"10.0.0.1:80","Metadata":{"weight":1}}"#,
        ),
        ("user/2", "10.0.0.2:80"),
        (
            "user/3",
            r#"{"network":"tcp","address":"10.0.0.3:80","weight":3}"#,
        ),
        ("user/4", "what?"),
    ] {
        client.put(key, value, None).await.unwrap();
    }
    let mut seen = seen(&server, Arc::new(AutoDetect::default()), "user");
    seen.until_list(&["10.0.0.1:80*1", "10.0.0.2:80", "10.0.0.3:80*3"])
        .await;
    assert_eq!(seen.discover.stats().decode_errors(), 1);
}

#[tokio::test]
async fn a_key_cannot_write_a_line_of_the_log() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let log = Log::start();
    let mut client = server.client().await;
    client
        .put("user/\nERROR forged", "what?", None)
        .await
        .unwrap();
    client.put("user/1", "10.0.0.1:80", None).await.unwrap();
    for layout in ["plain", "auto"] {
        let mut seen = seen(&server, codec_named(layout).unwrap(), "user");
        seen.until_list(&["10.0.0.1:80"]).await;
    }
    let lines = log.lines_with("forged");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.contains("the value is skipped")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_server_of_kratos_is_written_below_its_root_and_found_there() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let kratos: Arc<dyn Codec> = Arc::new(Kratos {
        root: "/prod/microservices".into(),
        ..Kratos::default()
    });
    let registrar = registrar(with(&server, Arc::clone(&kratos)));
    let metadata = Metadata::default().with_weight(10.0);
    let registration = registrar.register("user", endpoint(metadata)).unwrap();
    let written = within("it is registered", registration.registered()).await;
    written.unwrap();
    let mut client = server.client().await;
    let key = "/prod/microservices/user/10.0.0.1:80";
    assert_eq!(client.get(key, None).await.unwrap().count(), 1);
    let mut seen = seen(&server, kratos, "user");
    seen.until_list(&["10.0.0.1:80*10"]).await;

    let draining = Metadata::default().with_availability(Availability::Draining);
    registration.update(draining).unwrap();
    seen.until("it drains", |seen| {
        let mut endpoints = seen.list.values();
        endpoints.any(|it| it.metadata().availability == Availability::Draining)
    })
    .await;
}

#[tokio::test]
async fn what_a_layout_cannot_say_is_refused_when_a_server_is_registered() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let weighted = endpoint(Metadata::default().with_weight(10.0));
    for (layout, why) in [
        ("plain", "no place for metadata"),
        ("kitex", "the layout kitex is read, and not written"),
        ("auto", "the layout auto is read, and not written"),
    ] {
        let registrar = registrar(with(&server, codec_named(layout).unwrap()));
        let error = registrar.register("user", weighted.clone()).unwrap_err();
        assert!(matches!(error, RegisterError::Encode { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let registrar = registrar(with(&server, codec_named("plain").unwrap()));
    let plain = registrar.register("user", endpoint(Metadata::default()));
    let plain = plain.unwrap();
    within("it is registered", plain.registered())
        .await
        .unwrap();
}
