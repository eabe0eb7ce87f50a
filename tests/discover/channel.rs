use std::fs;
use std::time::Duration;

use evenkeel::{Channel, DnsConfig};
use evenkeel_testkit::{DnsServer, UserServer, eventually, tasks, within};
use evenkeel_tests::{Client, call, quick, servers};

async fn answers_from(client: &mut Client, server: &UserServer) {
    let name = server.address().to_string();
    within("an answer of the other server", async {
        while call(client).await.ok().as_ref() != Some(&name) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_channel_looks_its_name_up_again_when_its_connection_is_lost() {
    let servers = servers(2).await;
    let dns = DnsServer::start().unwrap();
    let name = "_grpc._tcp.users.test";
    let port = |server: &UserServer| {
        let address = server.address().to_string();
        address.rsplit_once(':').unwrap().1.parse().unwrap()
    };
    let at = |server: &UserServer| [(0, 0, port(server), "a.test")];
    dns.set_addresses("a.test", 3600, ["127.0.0.1"]);
    dns.set_srv(name, 3600, at(&servers[0]));
    let config = DnsConfig {
        min_ttl: Duration::from_millis(20),
        ..DnsConfig::default()
    };
    let channel = Channel::builder(format!("dns://{}/{name}", dns.address()))
        .dns(config)
        .backoff(quick())
        .build()
        .unwrap();
    let mut client = Client::new(channel);
    assert_eq!(
        call(&mut client).await.unwrap(),
        servers[0].address().to_string()
    );
    let asked = dns.queries().len();
    dns.set_srv(name, 3600, at(&servers[1]));
    let mut servers = servers;
    servers[0].kill().await;
    answers_from(&mut client, &servers[1]).await;
    assert!(dns.queries().len() > asked);
}

#[tokio::test]
async fn a_channel_follows_a_file() {
    let servers = servers(2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.yaml");
    let write = |server: &UserServer| {
        let text = format!("services: {{user: [{}]}}", server.address());
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
    };
    write(&servers[0]);
    let target = format!("file://{}#user", path.display());
    let channel = Channel::builder(target).backoff(quick()).build().unwrap();
    let mut client = Client::new(channel);
    answers_from(&mut client, &servers[0]).await;
    write(&servers[1]);
    answers_from(&mut client, &servers[1]).await;
}

#[tokio::test]
async fn the_last_handle_ends_lookups_and_watches() {
    let dns = DnsServer::start().unwrap();
    dns.set_addresses("users.test", 3600, ["127.0.0.1"]);
    let target = format!("dns://{}/users.test:9", dns.address());
    let channel = Channel::builder(target).backoff(quick()).build().unwrap();
    within("a lookup", async {
        while channel.endpoints().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(channel);
    tasks::at_most(0).await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.yaml");
    fs::write(&path, "endpoints: [127.0.0.1:9]").unwrap();
    let target = format!("file://{}", path.display());
    let channel = Channel::builder(target).backoff(quick()).build().unwrap();
    within("a read", async {
        while channel.endpoints().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    #[cfg(target_os = "linux")]
    assert!(watching_threads() > 0);
    drop(channel);
    tasks::at_most(0).await;
    // Those of other tests end, too.
    #[cfg(target_os = "linux")]
    eventually("the end of the watch", || watching_threads() == 0).await;
}

/// The threads that wait for changes of files.
#[cfg(target_os = "linux")]
fn watching_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("notify-rs")).count()
}

#[tokio::test]
async fn a_target_that_cannot_work_says_why() {
    for (target, why) in [
        ("dns:///a..b:80", "a label is empty"),
        ("dns://dns.google/users.test:80", "expected an IP address"),
        ("file://host/etc/endpoints.yaml", "three slashes"),
        ("consul:///user", "known are dns, etcd, file"),
    ] {
        let error = Channel::new(target).unwrap_err();
        let text = evenkeel::errors::chain(&error);
        assert!(text.contains(why), "{target}: {text}");
    }
}
